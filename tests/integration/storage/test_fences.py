"""What protects a bucket, as a real store tells it, and what a thief of the server's keys could do."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from checkniner_backups.errors import StoreError
from checkniner_backups.storage.fences import OFF, ON, SUSPENDED, UNKNOWN, Fences, fences

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import POLICY_BUCKET, Make


def test_a_bucket_as_it_is_made(s3_settings: Make) -> None:
    found = fences(s3_settings())
    assert found == Fences(OFF, OFF)
    assert found.weak
    assert "overwrite each: switch the bucket's versioning on" in found.thief


def test_versioning(s3_settings: Make, s3_server: ObjectStore) -> None:
    settings = s3_settings()
    for status, expected in (("Enabled", ON), ("Suspended", SUSPENDED)):
        s3_server.client().put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration={"Status": status})
        found = fences(settings)
        assert found == Fences(expected, OFF)
        assert found.weak == (expected == SUSPENDED)
        assert ("stays as an older version" in found.thief) == (expected == ON)


def test_object_lock(s3_settings: Make, s3_server: ObjectStore) -> None:
    name = s3_server.create_bucket(f"fenced-{datetime.now():%H%M%S%f}", ObjectLockEnabledForBucket=True)
    assert fences(s3_settings(bucket=name)) == Fences(ON, ON)
    retention = {"Mode": "COMPLIANCE", "Days": 30}
    s3_server.client().put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )
    found = fences(s3_settings(bucket=name))
    assert found == Fences(ON, ON, "compliance, 30 days")
    assert found.stated == "versioning is on, Object Lock is on (compliance, 30 days)"
    assert found.thief.endswith("none can be changed or removed until its retention ends")


def test_the_server_may_ask_with_our_policy_and_not_without(s3_settings: Make) -> None:
    assert fences(s3_settings("policy", bucket=POLICY_BUCKET)).lock == OFF
    assert fences(s3_settings("policy", bucket=POLICY_BUCKET)).versioning != UNKNOWN
    found = fences(s3_settings("server"))
    assert found == Fences()
    assert not found.weak
    assert "these keys may not ask" in found.stated
    assert found.thief.endswith("cannot be known")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("NotImplemented", OFF), ("MethodNotAllowed", OFF), ("InternalError", UNKNOWN), ("NoSuchBucket", UNKNOWN)],
)
def test_no_refusal_is_an_error(s3_settings: Make, code: str, expected: str) -> None:
    class Client:
        def __getattr__(self, name: str) -> Any:
            def refuse(**_: Any) -> None:
                raise ClientError({"Error": {"Code": code}}, name)

            return refuse

    assert fences(s3_settings(), Client()) == Fences(expected, expected)


def test_a_store_that_is_not_there(s3_settings: Make) -> None:
    with pytest.raises(StoreError):
        fences(s3_settings(endpoint_url="http://127.0.0.1:9"))
