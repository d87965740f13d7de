"""The store against a real S3 server: what arrives, what is refused, what is said when something is wrong."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from checkniner_backups import catalogue
from checkniner_backups.errors import DiskError, NotFoundError, SettingsError, StoreError
from checkniner_backups.settings import StoreSettings
from checkniner_backups.store import Store
from checkniner_backups.store_policy import policy
from checkniner_backups.store_upload import PART_SIZE, Outgoing, part_size
from checkniner_backups.web import fetch_url

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import POLICY_BUCKET

Make = Callable[..., StoreSettings]
KEY = "db/2026-11-22T19:35:00.tar.gz.gpg"
BIG = 2 * PART_SIZE + 12345


def a_file(folder: Path, size: int = 1000, name: str = "archive") -> tuple[Path, str]:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("identity", "checksums"), [("operator", "when_required"), ("server", "when_supported")])
@pytest.mark.parametrize("size", [0, 1000, PART_SIZE, BIG])
def test_round_trip(s3_settings: Make, tmp_path: Path, identity: str, checksums: str, size: int) -> None:
    store = Store(s3_settings(identity, checksums=checksums))
    path, digest = a_file(tmp_path, size)
    told: list[int] = []
    stored = store.upload(path, KEY, digest, {"engine": "1.0.0"}, progress=told.append)
    assert (stored.key, stored.size) == (KEY, size)
    assert stored.sha256 == (digest if identity == "operator" else "")  # who may not read sees no metadata
    assert stored.modified
    assert sum(told) == size
    reader = Store(s3_settings())
    back = tmp_path / "back"
    told.clear()
    assert reader.download(KEY, back, told.append).sha256 == digest
    assert back.read_bytes() == path.read_bytes()
    assert back.stat().st_mode & 0o777 == 0o600
    assert sum(told) == size
    assert reader.read_head(KEY, 100) == path.read_bytes()[:100]
    assert [each.key for each in store.list()] == [KEY]


def test_the_server_may_put_and_list_and_nothing_else(
    s3_settings: Make, s3_server: ObjectStore, tmp_path: Path
) -> None:
    store = Store(s3_settings("server"))
    path, digest = a_file(tmp_path)
    store.check()
    store.upload(path, KEY, digest)
    client = s3_server.client("server")
    for attempt in (
        lambda: client.get_object(Bucket=store.bucket, Key=KEY),
        lambda: client.head_object(Bucket=store.bucket, Key=KEY),
        lambda: client.delete_object(Bucket=store.bucket, Key=KEY),
        lambda: client.copy_object(Bucket=store.bucket, Key="db/copy", CopySource=f"{store.bucket}/{KEY}"),
        lambda: client.delete_bucket(Bucket=store.bucket),
        lambda: client.put_bucket_lifecycle_configuration(
            Bucket=store.bucket,
            LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]},
        ),
    ):
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            attempt()
    answer = client.delete_objects(Bucket=store.bucket, Delete={"Objects": [{"Key": KEY}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    with pytest.raises(StoreError, match="refuses"):
        store.download(KEY, tmp_path / "back")
    other, other_digest = a_file(tmp_path, 1000, "other")
    with pytest.raises(StoreError, match="is there already, and is another object"):
        store.upload(other, KEY, other_digest)
    assert Store(s3_settings()).head(KEY).sha256 == digest


def test_our_policy_does_what_it_says(s3_settings: Make, s3_server: ObjectStore, tmp_path: Path) -> None:
    store = Store(s3_settings("policy", bucket=POLICY_BUCKET))  # a name with a dot
    store.check()
    for size, second in ((100, 1), (BIG, 2)):
        path, digest = a_file(tmp_path, size)
        store.upload(path, f"db/2026-11-22T19:35:0{second}.tar.gz.gpg", digest)
    assert store.abort_stale_uploads() == 0
    newest = catalogue.newest(store)
    assert newest
    assert newest.size == BIG
    client = s3_server.client("policy")
    for attempt in (
        lambda: client.get_object(Bucket=POLICY_BUCKET, Key=newest.key),
        lambda: client.delete_object(Bucket=POLICY_BUCKET, Key=newest.key),
        lambda: client.put_object(Bucket=POLICY_BUCKET, Key="elsewhere/x", Body=b""),
        lambda: client.list_objects_v2(Bucket=POLICY_BUCKET, Prefix="elsewhere/"),
        lambda: client.list_objects_v2(Bucket=POLICY_BUCKET),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()


def test_the_policy_names_no_right_to_read_or_delete() -> None:
    allowed = [
        action
        for statement in policy("b", "db/", kms_key_arn="arn:aws:kms:::key/k")["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    assert sorted(allowed) == [
        "kms:Decrypt", "kms:GenerateDataKey", "s3:AbortMultipartUpload", "s3:ListBucket",
        "s3:ListBucketMultipartUploads", "s3:PutObject",
    ]  # fmt: skip


def test_versioning_keeps_what_a_stolen_key_overwrites(
    s3_settings: Make, s3_server: ObjectStore, tmp_path: Path
) -> None:
    store = Store(s3_settings("server"))
    operator = s3_server.client()
    operator.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    path, digest = a_file(tmp_path)
    store.upload(path, KEY, digest)
    thief = s3_server.client("server")
    thief.put_object(Bucket=store.bucket, Key=KEY, Body=b"gone?")
    versions = operator.list_object_versions(Bucket=store.bucket, Prefix=KEY)["Versions"]
    first = next(each["VersionId"] for each in versions if not each["IsLatest"])
    with pytest.raises(ClientError, match="AccessDenied"):
        thief.delete_object(Bucket=store.bucket, Key=KEY, VersionId=first)
    body = operator.get_object(Bucket=store.bucket, Key=KEY, VersionId=first)["Body"].read()
    assert body == path.read_bytes()


@pytest.mark.parametrize("identity", ["operator", "server"])
@pytest.mark.parametrize("size", [1000, BIG])
def test_the_same_upload_twice_is_our_own_object(s3_settings: Make, tmp_path: Path, identity: str, size: int) -> None:
    path, digest = a_file(tmp_path, size)
    first = Store(s3_settings(identity)).upload(path, KEY, digest)
    again = Store(s3_settings(identity))
    assert again.upload(path, KEY, digest) == first  # the 412 is looked into
    assert again.requests["PutObject"] + again.requests["CompleteMultipartUpload"] == 1


@pytest.mark.parametrize("identity", ["operator", "server"])
def test_an_etag_is_what_the_store_makes_it(s3_settings: Make, tmp_path: Path, identity: str) -> None:
    store = Store(s3_settings(identity))
    for number, size in enumerate((0, 5, PART_SIZE, BIG)):
        path, digest = a_file(tmp_path, size)
        assert store.upload(path, f"db/{number}", digest).etag == Outgoing(path, size, digest).etag()


def always(request: Any) -> bool:
    return True


def inject(store: Store, event: str, code: str, status: int, when: Callable[[Any], bool] = always) -> None:
    """Answer requests with an error in the store's stead."""
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self, **_: Any) -> list[bytes]:
            return [f"<Error><Code>{code}</Code><Message>secret</Message></Error>".encode()]

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        return AWSResponse(request.url, status, {}, Raw()) if when(request) else None  # type: ignore[arg-type]

    store._client.meta.events.register(f"before-send.s3.{event}", answer)


def test_a_store_without_conditional_puts(s3_settings: Make, tmp_path: Path) -> None:
    path, digest = a_file(tmp_path)
    store = Store(s3_settings())
    inject(store, "PutObject", "NotImplemented", 501, lambda request: "If-None-Match" in request.headers)
    assert store.upload(path, KEY, digest).sha256 == digest
    assert store.requests["PutObject"] == 2
    other, other_digest = a_file(tmp_path, 1000, "other")
    with pytest.raises(StoreError, match="does not understand"):
        store.upload(other, KEY, other_digest)
    assert store.head(KEY).sha256 == digest


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("RequestTimeTooSkewed", 403, "clock"),
        ("PermanentRedirect", 301, "region"),
        ("AuthorizationHeaderMalformed", 400, "region"),
        ("ExpiredToken", 400, "credentials"),
        ("QuotaExceeded", 403, "full"),
        ("KMS.DisabledException", 400, "KMS"),
        ("SomethingNew", 418, "SomethingNew"),
        ("MissingContentLength", 411, "does not understand"),
    ],
)
def test_what_refusals_mean(s3_settings: Make, tmp_path: Path, code: str, status: int, words: str) -> None:
    path, digest = a_file(tmp_path)
    store = Store(s3_settings())
    inject(store, "PutObject", code, status)
    with pytest.raises(StoreError, match=words) as caught:
        store.upload(path, KEY, digest)
    assert caught.value.hint
    assert store.bucket in caught.value.message
    assert KEY in caught.value.message
    assert "secret" not in str(caught.value)
    assert list(store.list()) == []


@pytest.mark.parametrize("identity", ["operator", "server"])
def test_what_is_stored_is_looked_at(s3_settings: Make, tmp_path: Path, identity: str) -> None:
    """A store, or something on the way, that writes other bytes than were sent, and says that all is well."""
    path, digest = a_file(tmp_path)
    for number, body in enumerate((b"400;chunk-signature=0\r\n", b"x" * 1000)):
        store = Store(s3_settings(identity, checksums="when_required"))
        key = f"db/{number}"

        def swap(params: dict[str, Any], body: bytes = body, **_: Any) -> None:
            params["Body"] = body
            params["Metadata"] = {}

        store._client.meta.events.register("provide-client-params.s3.PutObject", swap)
        if number and identity == "server":
            # Same size, and the store's own ETag: who may not read can only believe the answer to the put.
            assert store.upload(path, key, digest).sha256 == ""
            continue
        if number:
            store._client.meta.events.register("after-call.s3.PutObject", lambda parsed, **_: parsed.pop("ETag", None))
        with pytest.raises(StoreError, match="its digest differs" if number else "has 23 bytes, 1000 were sent"):
            store.upload(path, key, digest)


def test_stale_uploads_of_ours_are_aborted(s3_settings: Make, s3_server: ObjectStore, tmp_path: Path) -> None:
    store = Store(s3_settings("server"))
    client = s3_server.client()
    for key in (KEY, "db/somebody-elses", "other/2026-11-22T19:35:00.tar.gz"):
        client.create_multipart_upload(Bucket=store.bucket, Key=key)
    path, digest = a_file(tmp_path, BIG)
    store.upload(path, "db/2026-11-22T19:40:00.tar.gz.gpg", digest)
    assert store.requests["AbortMultipartUpload"] == 0  # they are too young
    assert store.abort_stale_uploads(timedelta(seconds=-5)) == 1
    left = client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", [])
    assert sorted(each["Key"] for each in left) == ["db/somebody-elses", "other/2026-11-22T19:35:00.tar.gz"]


def test_who_may_not_list_uploads_may_still_upload(
    s3_settings: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(s3_settings())
    inject(store, "ListMultipartUploads", "AccessDenied", 403)
    path, digest = a_file(tmp_path, BIG)
    with caplog.at_level(logging.INFO):
        assert store.upload(path, KEY, digest).size == BIG
    assert "unfinished uploads were not looked for" in caplog.text


def test_wrong_credentials(s3_settings: Make) -> None:
    for changes in ({"secret_key": "wrong-secret"}, {"access_key": "NOBODYKNOWSME"}):
        settings = s3_settings("server", **changes)
        with pytest.raises(StoreError, match="does not accept these credentials") as caught:
            Store(settings).check()
        assert settings.bucket in caught.value.message
        assert settings.secret_key not in str(caught.value)
    with pytest.raises(StoreError, match="refuses"):
        Store(s3_settings("nobody")).check()


def test_no_credentials_at_all(s3_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings = s3_settings(access_key="", secret_key="")
    with pytest.raises(StoreError, match="no usable credentials"):
        Store(settings).check()
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(StoreError, match="no usable credentials"):
        Store(settings).check()


def test_the_default_chain_of_credentials(
    s3_settings: Make, s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = s3_server.identities["server"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", who.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", who.secret_key)
    Store(s3_settings(access_key="", secret_key="")).check()


@pytest.mark.parametrize("identity", ["operator", "server"])
def test_no_such_bucket(s3_settings: Make, tmp_path: Path, identity: str) -> None:
    store = Store(s3_settings(identity, bucket="no-such-bucket"))
    path, digest = a_file(tmp_path)
    for attempt in (store.check, lambda: store.upload(path, KEY, digest), lambda: list(store.list())):
        with pytest.raises(StoreError, match=r"bucket no-such-bucket .*no such bucket") as caught:
            attempt()
        assert not isinstance(caught.value, NotFoundError)


def test_no_such_object(s3_settings: Make, tmp_path: Path) -> None:
    store = Store(s3_settings())
    for attempt in (
        lambda: store.head(KEY), lambda: store.download(KEY, tmp_path / "x"), lambda: store.read_head(KEY, 10),
        lambda: store.get_json(KEY),
    ):  # fmt: skip
        with pytest.raises(NotFoundError, match=f"no object {KEY} in bucket {store.bucket}"):
            attempt()
    assert store.look(KEY) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "127.0.0.1:8333", "http://", "https://user:hidden@host", "http://host:port", "https://h/?x=hidden"],
)
def test_endpoints_that_are_none(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Store(StoreSettings(bucket="b", endpoint_url=url))
    assert "hidden" not in str(caught.value)


def test_settings_that_cannot_work(s3_settings: Make) -> None:
    with pytest.raises(SettingsError, match="S3_BUCKET_NAME"):
        Store(StoreSettings())
    with pytest.raises(StoreError, match="not valid"):
        Store(s3_settings(bucket="no/such name")).check()


def test_a_file_that_is_not_there(s3_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="No such file"):
        Store(s3_settings()).upload(tmp_path / "missing", KEY, "0" * 64)


def test_download_of_something_damaged(s3_settings: Make, s3_server: ObjectStore, tmp_path: Path) -> None:
    store = Store(s3_settings())
    s3_server.client().put_object(Bucket=store.bucket, Key=KEY, Body=b"damaged", Metadata={"SHA256": "0" * 64})
    target = tmp_path / "target"
    target.write_text("what was there")
    with pytest.raises(StoreError, match="is not what was uploaded"):
        store.download(KEY, target)
    assert target.read_text() == "what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["target"]


def test_download_of_an_old_archive_without_a_digest(s3_settings: Make, s3_server: ObjectStore, tmp_path: Path) -> None:
    store = Store(s3_settings())
    s3_server.client().put_object(Bucket=store.bucket, Key="db/2016-05-01T12:00:05.tar.gz.gpg", Body=b"old")
    found = catalogue.newest(store)
    assert found
    assert store.download(found.key, tmp_path / found.name).sha256 == ""
    assert (tmp_path / found.name).read_bytes() == b"old"


def test_presigned_urls(s3_settings: Make, tmp_path: Path) -> None:
    store = Store(s3_settings())
    path, digest = a_file(tmp_path, BIG)
    store.upload(path, KEY, digest)
    before = store.requests.total()
    url = store.presigned_url(KEY, 60)
    assert store.requests.total() == before
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    assert store.settings.secret_key not in url
    back = tmp_path / "back"
    assert fetch_url(url, back) == BIG
    assert hashlib.sha256(back.read_bytes()).hexdigest() == digest
    with pytest.raises(StoreError, match="answer 403") as caught:
        fetch_url(url.replace("19%3A35", "19%3A36"), back)
    assert "X-Amz" not in str(caught.value)
    with pytest.raises(NotFoundError):
        fetch_url(store.presigned_url("db/other"), back)


def test_records(s3_settings: Make, s3_server: ObjectStore) -> None:
    store = Store(s3_settings())
    store.put_json("db/drills/1.json", {"proven": True, "of": "ü"})
    assert store.get_json("db/drills/1.json") == {"proven": True, "of": "ü"}
    store.put_json("db/drills/1.json", [])
    assert store.get_json("db/drills/1.json") == []
    s3_server.client().put_object(Bucket=store.bucket, Key="db/x", Body=b"{")
    with pytest.raises(StoreError, match="no JSON"):
        store.get_json("db/x")


def test_requests_are_counted_and_none_is_sent_unasked(s3_settings: Make, tmp_path: Path) -> None:
    store = Store(s3_settings())
    assert store._client
    assert not store.requests
    store.check()
    assert store.requests == {"ListObjectsV2": 1}
    path, digest = a_file(tmp_path)
    store.upload(path, KEY, digest)
    assert store.requests == {"ListObjectsV2": 1, "PutObject": 1, "HeadObject": 1}


def test_the_newest_of_some_hundred_in_four_lists(s3_settings: Make, s3_server: ObjectStore) -> None:
    store = Store(s3_settings("server"))
    client = s3_server.client()
    newest = datetime(2025, 10, 18, 1, 0, tzinfo=timezone.utc)
    stamps = [newest - timedelta(hours=7 * index) for index in range(200)]
    names = [catalogue.file_name(each, True) for each in stamps]
    for name in [*names, "readme-x", "drills/2026-11-22T19:35:00.json", "notes/a"]:
        client.put_object(Bucket=store.bucket, Key=f"db/{name}", Body=b"x")
    found = catalogue.newest(store)
    assert found
    assert found.stamp == newest
    assert store.requests == {"ListObjectsV2": 4}
    assert [each.name for each in catalogue.all_archives(store)] == names
    moment = newest - timedelta(days=20, minutes=1)
    before, after = catalogue.around(store, moment)
    assert before == catalogue.parse(before.key, "db/", 1) if before else False
    assert before.stamp == max(each for each in stamps if each <= moment)
    assert after
    assert after.stamp == min(each for each in stamps if each > moment)


def test_pages_go_on(s3_settings: Make, s3_server: ObjectStore) -> None:
    store = Store(s3_settings())
    for number in range(25):
        s3_server.client().put_object(Bucket=store.bucket, Key=f"db/{number:03} ü&+%", Body=b"")
    store._client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=10)
    )
    assert sorted(each.key for each in store.list()) == [f"db/{number:03} ü&+%" for number in range(25)]
    assert store.requests == {"ListObjectsV2": 3}


@pytest.mark.parametrize("size", [1, 8 << 20, 8000 << 20, (8000 << 20) + 1, 5 << 40])
def test_never_more_than_a_thousand_parts(size: int) -> None:
    part = part_size(size)
    assert part >= 8 << 20
    assert -(-size // part) <= 1000


def test_server_side_encryption_and_storage_class_are_asked_for(s3_settings: Make, tmp_path: Path) -> None:
    store = Store(s3_settings(server_side_encryption="AES256", storage_class="STANDARD_IA"))
    asked: list[dict[str, Any]] = []
    for operation in ("PutObject", "CreateMultipartUpload"):
        store._client.meta.events.register(
            f"provide-client-params.s3.{operation}", lambda params, **_: asked.append(dict(params))
        )
    for number, size in enumerate((1000, BIG)):
        path, digest = a_file(tmp_path, size)
        assert store.upload(path, f"db/{number}", digest).sha256 == digest
    assert [(each["ServerSideEncryption"], each["StorageClass"]) for each in asked] == [("AES256", "STANDARD_IA")] * 2


def test_virtual_addressing_is_passed_on(s3_settings: Make) -> None:
    store = Store(s3_settings(addressing_style="virtual", endpoint_url="http://s3.example.org", bucket="abc"))
    assert urlsplit(store.presigned_url(KEY)).netloc == "abc.s3.example.org"
    store = Store(s3_settings(endpoint_url="http://s3.example.org", bucket="abc.d"))
    assert store.presigned_url(KEY).startswith("http://s3.example.org/abc.d/db/")
