"""The store against a real S3 server: what is put there arrives, is found again, and takes no request too many."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from checkniner_backups.errors import NotFoundError, StoreError
from checkniner_backups.storage import catalog as catalogue
from checkniner_backups.storage.s3 import Store
from checkniner_backups.storage.upload import PART_SIZE, Outgoing, part_size
from checkniner_backups.system.http import fetch_url

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import BIG, KEY, Make, a_file


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
        assert store.upload(path, f"db/{number}", digest).etag == Outgoing(path, size, digest).etags()[0]


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
