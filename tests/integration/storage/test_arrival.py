"""One byte that is changed between us and the store is noticed: by what the store computed, or by reading it back.

The store here listens over TLS, where boto3 signs no payload, and keeps what arrives, as a store behind a faulty proxy.
Its LIST knows no delimiter.
"""

from __future__ import annotations

import hashlib
import io
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from checkniner_backups.errors import StoreError
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage import catalog, choice
from checkniner_backups.storage.s3 import Store
from checkniner_backups.system.timestamps import clock_warning

from sandbox.object_store import make_certificate
from tests.plugins.object_store import BIG, KEY, a_file

XML = '<?xml version="1.0" encoding="UTF-8"?>'


class FakeStore(ThreadingHTTPServer):
    """An S3 store over TLS: PUT, uploads in parts, HEAD, LIST, GET.

    :ivar flip: whether one byte of each body changes before it is stored
    :ivar etag_of: makes the ETag of what was stored
    :ivar clock_ahead: seconds
    """

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.objects: dict[str, tuple[bytes, str, dict[str, str]]] = {}
        self.parts: dict[int, bytes] = {}
        self.metadata: dict[str, str] = {}
        self.flip, self.may_read, self.kms = False, True, False
        self.etag_of: Callable[[bytes, int], str] = honest
        self.gets = 0
        self.part_size = 0
        self.clock_ahead = 0.0


def honest(body: bytes, part_size: int) -> str:
    if not part_size:
        return hashlib.md5(body).hexdigest()
    parts = [body[start : start + part_size] for start in range(0, len(body), part_size)]
    together = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f"{together}-{len(parts)}"


def _unchunked(stream: Any) -> bytes:
    body = bytearray()
    while size := int(stream.readline().split(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass
    return bytes(body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeStore

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.server.clock_ahead)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        if self.server.kms:
            self.send_header("x-amz-server-side-encryption", "aws:kms")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = _unchunked(self.rfile)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        return _unchunked(io.BytesIO(body)) if "x-amz-trailer" in self.headers else body

    def _key(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).split("/", 2)[-1], parse_qs(parts.query, keep_blank_values=True)

    def _metadata(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}

    def do_PUT(self) -> None:
        key, query = self._key()
        body = bytearray(self._body())
        if self.server.flip:
            body[len(body) // 2] ^= 1
        if "partNumber" in query:
            self.server.parts[int(query["partNumber"][0])] = bytes(body)
            self._answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')
            return
        etag = self.server.etag_of(bytes(body), 0)
        self.server.objects[key] = (bytes(body), etag, self._metadata())
        self._answer(200, ETag=f'"{etag}"')

    def do_POST(self) -> None:
        key, query = self._key()
        self._body()
        if "uploads" in query:
            self.server.metadata = self._metadata()
            said = f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = [self.server.parts[number] for number in sorted(self.server.parts)]
            body = b"".join(parts)
            etag = self.server.etag_of(body, len(parts[0]))
            self.server.objects[key] = (body, etag, self.server.metadata)
            said = f'{XML}<CompleteMultipartUploadResult><ETag>"{etag}"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, said.encode())

    def do_HEAD(self) -> None:
        key, _ = self._key()
        if not self.server.may_read:
            self._answer(403)
        elif key not in self.server.objects:
            self._answer(404)
        else:
            body, etag, metadata = self.server.objects[key]
            self._answer(200, ETag=f'"{etag}"', length=str(len(body)), **metadata)

    def do_GET(self) -> None:
        key, query = self._key()
        if key in self.server.objects and self.server.may_read:
            self.server.gets += 1
            self._answer(200, self.server.objects[key][0])
        elif "list-type" in query:
            found = "".join(
                f'<Contents><Key>{name}</Key><Size>{len(body)}</Size><ETag>"{etag}"</ETag></Contents>'
                for name, (body, etag, _) in self.server.objects.items()
                if name.startswith(query.get("prefix", [""])[0])
            )
            said = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
            self._answer(200, (XML + said).encode())
        else:
            self._answer(403)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def fake(certificate: tuple[Path, Path]) -> Iterator[FakeStore]:
    with FakeStore(certificate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def store_at(fake: FakeStore, certificate: tuple[Path, Path], **changes: Any) -> Store:
    values = {"bucket": "b", "access_key": "a", "secret_key": "s", "endpoint_url": fake.url,
              "ca_bundle": str(certificate[0]), "addressing_style": "path"}  # fmt: skip
    return Store(StoreSettings(**{**values, **changes}))


def random_like(body: bytes, _: int) -> str:
    return hashlib.sha1(body).hexdigest()


@pytest.mark.parametrize("size", [1000, BIG], ids=["single", "parts"])
@pytest.mark.parametrize("how", [("when_required", True), ("when_required", False), ("when_supported", True)])
def test_a_flipped_byte_is_no_success(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path, size: int, how: tuple[str, bool]
) -> None:
    path, digest = a_file(tmp_path, size)
    checksums, fake.may_read = how
    store = store_at(fake, certificate, checksums=checksums)
    assert store.upload(path, KEY, digest).verified
    assert fake.objects[KEY][0] == path.read_bytes()
    assert fake.gets == 0
    fake.flip = True
    with pytest.raises(StoreError, match="is not what was sent: its digest differs") as caught:
        store.upload(path, KEY + "2", digest)
    assert caught.value.exit_status == 7
    assert "checkniner_backups_s3_checksums" in caught.value.hint


@pytest.mark.parametrize("size", [1000, BIG], ids=["single", "parts"])
@pytest.mark.parametrize("kms", [True, False])
def test_where_the_etag_says_nothing_the_object_is_read_back(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path, size: int, kms: bool
) -> None:
    path, digest = a_file(tmp_path, size)
    fake.kms = kms
    fake.etag_of = lambda body, _: hashlib.md5(body + b"x").hexdigest() if kms else random_like(body, _)
    store = store_at(fake, certificate)
    assert store.upload(path, KEY, digest).verified
    assert fake.gets == 1
    fake.flip = True
    with pytest.raises(StoreError, match="digest differs"):
        store.upload(path, KEY + "2", digest)


@pytest.mark.parametrize("kms", [True, False])
def test_where_nothing_can_be_known_that_is_said(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path, kms: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path, digest = a_file(tmp_path)
    fake.kms, fake.may_read = kms, False
    fake.etag_of = lambda body, _: hashlib.md5(body + b"x").hexdigest() if kms else random_like(body, _)
    stored = store_at(fake, certificate).upload(path, KEY, digest)
    assert not stored.verified
    assert "cannot be known" in caplog.text
    assert "s3:GetObject" in caplog.text


def test_some_stores_give_the_md5_of_the_whole_for_parts_too(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    path, digest = a_file(tmp_path, BIG)
    fake.etag_of = lambda body, _: hashlib.md5(body).hexdigest()
    assert store_at(fake, certificate).upload(path, KEY, digest).verified
    assert fake.gets == 0


@pytest.mark.parametrize(("ahead", "told"), [(0, ""), (-600, "10 min behind"), (7300, "2 h ahead of")])
def test_a_clock_that_differs_from_the_stores_is_told(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path, ahead: float, told: str
) -> None:
    path, digest = a_file(tmp_path)
    fake.clock_ahead = ahead
    store = store_at(fake, certificate)
    assert store.clock_ahead == 0
    store.upload(path, "db/x", digest)
    assert abs(store.clock_ahead - ahead) < 10
    assert told in clock_warning("the store", store.clock_ahead)
    assert bool(clock_warning("the store", store.clock_ahead)) == bool(told)


def test_a_store_whose_list_ignores_the_delimiter_is_searched_all_the_same(
    fake: FakeStore, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    path, digest = a_file(tmp_path)
    store = store_at(fake, certificate)
    names = [f"2026-{month:02}-03T04:05:06.tar.gz.gpg" for month in (1, 5, 11)]
    for name in names:
        store.upload(path, f"db/{name}", digest)
    found = catalog.newest(store)
    assert found
    assert found.name == names[-1]
    assert choice.choose(store, at="2026-06-01 00:00Z").name == names[1]
    assert [each.name for each in catalog.all_archives(store)] == names[::-1]
