"""Removing from a real store: with versions and without, what Object Lock holds, and stores that know less."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError
from checkniner_backups.errors import StoreError
from checkniner_backups.storage import removal as removing
from checkniner_backups.storage.removal import Removal
from checkniner_backups.storage.s3 import Store

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import POLICY_BUCKET, Make

A, B, C = (f"db/2026-11-2{day}T19:35:00.tar.gz.gpg" for day in (0, 1, 2))
OTHER = "db/2026-11-20T19:35:00.tar.gz.gpg.not"
"""A key that begins as A does."""


@pytest.fixture
def bucket(s3_settings: Make) -> str:
    return s3_settings().bucket


@pytest.fixture
def client(s3_server: ObjectStore) -> Any:
    return s3_server.client()


def put(client: Any, bucket: str, *keys: str, body: bytes = b"12345") -> None:
    for key in keys:
        client.put_object(Bucket=bucket, Key=key, Body=body)


def versioned(client: Any, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def listed(client: Any, bucket: str) -> list[str]:
    return sorted(each["Key"] for each in client.list_objects_v2(Bucket=bucket, Prefix="db/").get("Contents", ()))


def all_versions(client: Any, bucket: str) -> list[str]:
    found = client.list_object_versions(Bucket=bucket, Prefix="db/")
    return sorted(each["Key"] for each in (*found.get("Versions", ()), *found.get("DeleteMarkers", ())))


def refusing(monkeypatch: pytest.MonkeyPatch, operation: str, code: str) -> None:
    """Let the store answer one operation with an error, as stores do that lack it."""
    make = removing.make_client

    def made(settings: Any) -> Any:
        client = make(settings)

        def refuse(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation)

        client.meta.events.register(f"before-call.s3.{operation}", refuse)
        return client

    monkeypatch.setattr(removing, "make_client", made)


@pytest.fixture(params=["at once", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "one by one":
        refusing(monkeypatch, "DeleteObjects", "NotImplemented")


@pytest.mark.usefixtures("way")
def test_a_bucket_without_versions(s3_settings: Make, client: Any, bucket: str) -> None:
    put(client, bucket, A, B, C, OTHER)
    done = Removal(s3_settings()).remove({A: 5, B: 5})
    assert listed(client, bucket) == sorted([C, OTHER])
    assert done.gone == [A, B]
    assert done.freed == 10
    assert not {*done.kept, *done.failed, *done.notes}


@pytest.mark.usefixtures("way")
def test_older_versions_go_too_and_nothing_is_marked(s3_settings: Make, client: Any, bucket: str) -> None:
    versioned(client, bucket)
    put(client, bucket, A, B, C, OTHER)
    put(client, bucket, A, body=b"a thief's")
    client.delete_object(Bucket=bucket, Key=B)
    put(client, bucket, B)
    assert len(all_versions(client, bucket)) == 7
    done = Removal(s3_settings()).remove({A: 9, B: 5})
    assert all_versions(client, bucket) == sorted([C, OTHER])
    assert done.gone == [A, B]
    assert done.freed == 5 + 9 + 5 + 5


def test_what_was_removed_by_somebody_else_is_left_to_them(s3_settings: Make, client: Any, bucket: str) -> None:
    """An archive that a thief has removed is still there as a version: it may be the way back."""
    versioned(client, bucket)
    put(client, bucket, A, B)
    client.delete_object(Bucket=bucket, Key=A)
    Removal(s3_settings()).remove({B: 5})
    assert all_versions(client, bucket) == [A, A]


@pytest.fixture
def locked(s3_server: ObjectStore, client: Any) -> str:
    """A bucket with Object Lock: A is retained for an hour, B is held, C is free."""
    name = s3_server.create_bucket(f"locked-{datetime.now():%H%M%S%f}", ObjectLockEnabledForBucket=True)
    put(client, name, A, B, C)
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    client.put_object_retention(Bucket=name, Key=A, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    client.put_object_legal_hold(Bucket=name, Key=B, LegalHold={"Status": "ON"})
    return name


@pytest.mark.usefixtures("way")
def test_what_the_store_holds_stays_in_sight(s3_settings: Make, client: Any, locked: str) -> None:
    removal = Removal(s3_settings(bucket=locked))
    held = removal.held([A, B, C])
    assert held.keys() == {A, B}
    assert held[A].startswith("kept by Object Lock until 20")
    assert held[B] == "kept by a legal hold"
    done = removal.remove({A: 5, B: 5, C: 5})
    assert done.gone == [C]
    assert done.freed == 5
    assert done.kept == {A: "AccessDenied", B: "AccessDenied"}
    assert not done.failed
    assert listed(client, locked) == [A, B]  # no delete marker hides them


def test_an_older_version_that_is_held_keeps_the_current_one(s3_settings: Make, client: Any, locked: str) -> None:
    put(client, locked, A, body=b"newer")
    done = Removal(s3_settings(bucket=locked)).remove({A: 5})
    assert done.kept == {A: "AccessDenied"}
    assert len(all_versions(client, locked)) == 4


def test_a_bucket_without_lock_costs_no_look_at_each(s3_settings: Make, client: Any, bucket: str) -> None:
    removal = Removal(s3_settings())
    assert removal.held([A]) == {}
    assert removal.fences.lock == "off"


def test_keys_that_may_not_remove(s3_settings: Make, client: Any, bucket: str) -> None:
    put(client, bucket, A)
    done = Removal(s3_settings("server")).remove({A: 5})
    assert done.kept == {A: "AccessDenied"}
    assert not done.gone
    assert listed(client, bucket) == [A]


@pytest.mark.parametrize("versions", [False, True])
def test_our_policy_for_it_suffices_and_is_no_larger(s3_settings: Make, s3_server: ObjectStore, versions: bool) -> None:
    client = s3_server.client()
    status = "Enabled" if versions else "Suspended"
    client.put_bucket_versioning(Bucket=POLICY_BUCKET, VersioningConfiguration={"Status": status})
    put(client, POLICY_BUCKET, A, B)
    try:
        settings = s3_settings("pruner", bucket=POLICY_BUCKET)
        removal = Removal(settings)
        assert removal.fences.versioning == status.lower().replace("enabled", "on")
        assert removal.fences.lock == "off"
        done = removal.remove({A: 5, B: 5})
        assert done.gone == [A, B]
        assert not done.notes
        assert not {A, B} & set(all_versions(client, POLICY_BUCKET))
        assert Store(settings).read_head
        with pytest.raises(ClientError, match="AccessDenied"):
            s3_server.client("pruner").put_object(Bucket=POLICY_BUCKET, Key=A, Body=b"")
    finally:
        client.put_bucket_versioning(Bucket=POLICY_BUCKET, VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
def test_versions_that_cannot_be_listed_stay_and_that_is_said(
    s3_settings: Make, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    versioned(client, bucket)
    put(client, bucket, A)
    refusing(monkeypatch, "ListObjectVersions", code)
    done = Removal(s3_settings()).remove({A: 5})
    assert done.gone == [A]
    assert listed(client, bucket) == []
    assert "older versions of what was removed stay" in done.notes[0]


def test_a_store_that_tells_nothing_of_itself(
    s3_settings: Make, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, "GetBucketVersioning", "AccessDenied")
    refusing(monkeypatch, "GetObjectLockConfiguration", "AccessDenied")
    put(client, bucket, A, B)
    removal = Removal(s3_settings())
    assert removal.fences.stated.startswith("versioning is unknown, Object Lock is unknown")
    assert removal.held([A]) == {}
    assert removal.remove({A: 5}).gone == [A]
    versioned(client, bucket)
    put(client, bucket, B)
    assert Removal(s3_settings()).remove({B: 5}).gone == [B]
    assert all_versions(client, bucket) == []


def test_more_than_one_request_can_name(
    s3_settings: Make, client: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "BATCH", 2)
    put(client, bucket, A, B, C)
    assert Removal(s3_settings()).remove({A: 5, B: 5, C: 5}).gone == [A, B, C]
    assert listed(client, bucket) == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, "no answer for this object"),
        ({"Errors": [{"Key": A, "Code": "InternalError", "Message": "secret-signature"}]}, "InternalError"),
        ({"Errors": [{"Key": A}]}, "no answer for this object"),
    ],
)
def test_an_answer_that_is_none_is_no_success(
    s3_settings: Make, bucket: str, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], told: str
) -> None:
    removal = Removal(s3_settings())
    monkeypatch.setattr(removal._client, "delete_objects", lambda **_: answer)
    done = removal.remove({A: 5})
    assert done.failed == {A: told}
    assert not done.gone
    assert not done.freed


def test_what_a_store_does_not_have_is_gone(s3_settings: Make, bucket: str) -> None:
    assert Removal(s3_settings()).remove({A: 5}).gone == [A]
    assert Removal(s3_settings()).remove({}).gone == []


def test_a_store_that_is_not_there(s3_settings: Make) -> None:
    def removing_from(**changes: str) -> Callable[[], object]:
        return lambda: Removal(s3_settings(**changes)).remove({A: 5})

    for remove in (removing_from(bucket="no-such-bucket"), removing_from(secret_key="wrong")):
        with pytest.raises(StoreError):
            remove()
