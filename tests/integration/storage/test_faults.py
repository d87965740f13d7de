"""What a store refuses, lacks or does unlike it says: one message tells what is wrong, and nothing is half done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.errors import DiskError, NotFoundError, SettingsError, StoreError
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.s3 import Store

from sandbox.object_store import ObjectStore
from tests.plugins.object_store import BIG, KEY, Make, a_file


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
        with pytest.raises(StoreError, match="its digest differs" if number else "has 23 bytes, 1000 were sent"):
            store.upload(path, key, digest)


def test_who_may_not_list_uploads_may_still_upload(
    s3_settings: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(s3_settings())
    inject(store, "ListMultipartUploads", "AccessDenied", 403)
    path, digest = a_file(tmp_path, BIG)
    with caplog.at_level(logging.INFO):
        assert store.upload(path, KEY, digest).size == BIG
    assert "unfinished uploads were not looked for" in caplog.text


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


def test_a_store_that_redirects_each_request(s3_settings: Make) -> None:
    """An endpoint with http:// of a store that listens to https://: boto3 asks again without end."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(301)
            self.send_header("Location", "https://192.0.2.1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD  # noqa: N815 - a name of the library

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        store = Store(s3_settings(endpoint_url=f"http://127.0.0.1:{listener.server_address[1]}"))
        with pytest.raises(StoreError, match="redirect") as caught:
            store.head(KEY)
        listener.shutdown()
    assert "https://" in caught.value.hint
