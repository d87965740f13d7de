"""The store over connections that are refused, cut, silent or encrypted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from checkniner_backups.errors import StoreError
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.s3 import Store
from checkniner_backups.storage.upload import PART_SIZE
from checkniner_backups.system.http import fetch_url

from sandbox.object_store import ObjectStore, make_certificate
from tests.plugins.object_store import KEY, Make, a_file

pytestmark = pytest.mark.late("connections are cut and waited for")


class Seen(NamedTuple):
    """What a proxy knows of a connection: how many came before, what the client sent, how many bytes it received."""

    number: int
    sent: bytes
    received: int


Cut = Callable[[Seen], bool]


class Proxy:
    """Passes TCP on, and cuts connections as told."""

    def __init__(self, port: int, cut: Cut) -> None:
        self.target, self.cut, self.count = port, cut, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                number, self.count = self.count, self.count + 1
                sent = bytearray()
                for source, sink, up in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, sink, up, number, sent), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, up: bool, number: int, sent: bytearray) -> None:
        received = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if up:
                    sent += data
                else:
                    received += len(data)
                    if self.cut(Seen(number, bytes(sent), received)):
                        break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            if not up:
                each.close()


@pytest.fixture
def proxied(s3_server: ObjectStore, s3_settings: Make) -> Iterator[Callable[..., tuple[Store, Proxy]]]:
    """A function: given an identity and when to cut, a store behind a proxy that does so, and the proxy."""
    proxies: list[Proxy] = []

    def make(identity: str, cut: Cut) -> tuple[Store, Proxy]:
        proxies.append(Proxy(s3_server.port, cut))
        return Store(replace(s3_settings(identity), endpoint_url=proxies[-1].url)), proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("identity", ["operator", "server"])
@pytest.mark.parametrize("size", [1000, 2 * PART_SIZE + 5])
def test_the_answer_to_the_last_put_is_lost(
    proxied: Callable[..., tuple[Store, Proxy]], s3_settings: Make, tmp_path: Path, identity: str, size: int
) -> None:
    """It is in the store, nobody said so, and the second try is refused because it is there."""
    path, digest = a_file(tmp_path, size)
    lost: list[int] = []

    def cut(seen: Seen) -> bool:
        # A single put, or the end of an upload in parts: both carry the condition.
        if b"if-none-match" in seen.sent.lower() and not lost:
            lost.append(seen.number)
        return seen.number in lost

    store, _ = proxied(identity, cut)
    stored = store.upload(path, KEY, digest)
    assert stored.size == size
    assert lost
    assert store.requests["PutObject"] + store.requests["CompleteMultipartUpload"] == 2
    assert Store(s3_settings()).head(KEY).sha256 == digest


def test_a_download_goes_on_where_it_was_cut(
    proxied: Callable[..., tuple[Store, Proxy]], s3_settings: Make, tmp_path: Path
) -> None:
    path, digest = a_file(tmp_path, 3 * PART_SIZE)
    Store(s3_settings()).upload(path, KEY, digest)
    limits = {0: 2 * PART_SIZE, 1: PART_SIZE // 2}  # bytes of the first connections
    store, proxy = proxied("operator", lambda seen: seen.received > limits.get(seen.number, 1 << 40))
    told: list[int] = []
    store.download(KEY, tmp_path / "back", told.append)
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert sum(told) == 3 * PART_SIZE  # nothing was fetched twice
    assert store.requests["GetObject"] == 3
    assert proxy.count >= 3


def test_a_download_that_is_always_cut_leaves_nothing(
    proxied: Callable[..., tuple[Store, Proxy]], s3_settings: Make, tmp_path: Path
) -> None:
    path, digest = a_file(tmp_path, PART_SIZE)
    reader = Store(s3_settings())
    reader.upload(path, KEY, digest)
    path.unlink()
    store, proxy = proxied("operator", lambda seen: seen.received > 500_000)
    with pytest.raises(StoreError, match="the connection broke"):
        store.download(KEY, tmp_path / "back")
    with pytest.raises(StoreError, match="cut short") as caught:
        fetch_url(store.presigned_url(KEY), tmp_path / "back")
    assert "X-Amz" not in str(caught.value)
    assert proxy.count >= 4
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_is_always_cut_stores_nothing(
    proxied: Callable[..., tuple[Store, Proxy]], s3_settings: Make, tmp_path: Path
) -> None:
    store, proxy = proxied("server", lambda seen: seen.received > 0)
    path, digest = a_file(tmp_path, 1000)
    with pytest.raises(StoreError, match=f"cannot upload {KEY} in bucket"):
        store.upload(path, KEY, digest)
    assert proxy.count >= 3


def test_an_upload_in_parts_that_fails_is_aborted(s3_settings: Make, tmp_path: Path) -> None:
    """The store must not hold half of it, nor a pending upload that is paid for."""
    path, digest = a_file(tmp_path, 3 * PART_SIZE)
    store = Store(s3_settings("server"))

    def spoil(params: dict[str, Any], **_: Any) -> None:
        if params["PartNumber"] == 2:
            params["UploadId"] = "0" * 40

    store._client.meta.events.register("provide-client-params.s3.UploadPart", spoil)
    with pytest.raises(StoreError):
        store.upload(path, KEY, digest)
    assert store.requests["AbortMultipartUpload"] == 1
    assert "Uploads" not in store._client.list_multipart_uploads(Bucket=store.bucket)
    assert store.look(KEY) is None


def test_nobody_listens(s3_settings: Make) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        settings = s3_settings(endpoint_url=f"http://127.0.0.1:{held.getsockname()[1]}")
        store = Store(settings)
        with pytest.raises(StoreError, match="no connection") as caught:
            store.check()
    assert settings.endpoint_url in caught.value.message
    assert settings.secret_key not in str(caught.value)
    assert store.requests["ListObjectsV2"] == 3


def test_no_such_host(s3_settings: Make) -> None:
    with pytest.raises(StoreError, match="no connection"):
        Store(s3_settings(endpoint_url="http://no-such-host.invalid")).check()


def test_a_dead_network_is_given_up_in_time(s3_settings: Make) -> None:
    """Three attempts of five seconds, and the pauses between them: within about 20 seconds."""
    config = Store(s3_settings())._client.meta.config
    assert (config.connect_timeout, config.retries["total_max_attempts"], config.retries["mode"]) == (5, 3, "standard")


def test_not_http_at_all(s3_settings: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.sendall(b"220 smtp.example.org ready\r\n")
                    client.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(StoreError, match="the connection broke"):
            Store(s3_settings(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}")).check()


def test_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    with ObjectStore(tmp_path / "s3", certificate=certificate) as server:
        server.create_bucket("with.dots")
        who = server.identities["operator"]
        settings = StoreSettings(
            bucket="with.dots",
            endpoint_url=server.endpoint_url,
            access_key=who.access_key,
            secret_key=who.secret_key,
            ca_bundle=str(certificate[0]),
        )
        store = Store(settings)
        path, digest = a_file(tmp_path, 2 * PART_SIZE)
        assert store.upload(path, KEY, digest).sha256 == digest
        store.download(KEY, tmp_path / "back")
        url = store.presigned_url(KEY)
        assert fetch_url(url, tmp_path / "again", ca_bundle=str(certificate[0])) == path.stat().st_size
        with pytest.raises(StoreError, match="the TLS connection failed"):
            fetch_url(url, tmp_path / "again")
        with pytest.raises(StoreError, match="the TLS connection failed"):
            Store(replace(settings, ca_bundle="")).check()
        with pytest.raises(StoreError, match="CA bundle"):
            Store(replace(settings, ca_bundle=str(tmp_path / "missing.pem"))).check()
