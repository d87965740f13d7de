"""The watchdog, and plain HTTP, against real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from checkniner_backups.errors import NotFoundError, StoreError, WatchdogError
from checkniner_backups.system.http import fetch_url
from checkniner_backups.system.watchdog import ping

CONTENT = b"archive" * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    seen: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        self.seen.append(self.path)
        what = self.path.split("/")[1].split("?")[0]
        if what == "slow":
            self.released.wait(20)
        elif what == "drip":
            self.send_response(200)
            self.flush_headers()
            while not self.released.wait(0.05):
                self.wfile.write(b"X-Drip: 1\r\n")
        elif what == "redirect":
            self.send_response(302)
            self.send_header("Location", "/ok/secret")
            self.end_headers()
        elif what == "to-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
        elif what in ("ok", "short", "once"):
            short = what == "short" or (what == "once" and len(self.seen) == 1)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100] if short else CONTENT)
        else:
            self.send_error(int(what))

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def handler() -> type[Handler]:
    return type("ThisHandler", (Handler,), {"seen": [], "released": threading.Event()})


@pytest.fixture
def url(handler: type[Handler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    handler.released.set()
    server.shutdown()
    server.server_close()


def refused(url: str, timeout: float = 5.0) -> WatchdogError:
    with pytest.raises(WatchdogError) as caught:
        ping(url, timeout)
    assert "secret" not in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_status == 13
    return caught.value


def test_a_ping_arrives(url: str, handler: type[Handler]) -> None:
    ping(f"{url}/ok/secret")
    ping(f"{url}/redirect/secret")
    assert handler.seen == ["/ok/secret", "/redirect/secret", "/ok/secret"]


@pytest.mark.parametrize("status", [404, 500, 401])
def test_a_refusal_is_loud(url: str, status: int) -> None:
    assert f"answer {status}" in refused(f"{url}/{status}/secret").message


@pytest.mark.parametrize("what", ["slow", "drip"])
def test_the_time_is_bounded_over_all(url: str, what: str) -> None:
    start = time.monotonic()
    error = refused(f"{url}/{what}/secret", timeout=0.4)
    assert "did not answer" in error.message or "no answer in time" in error.message
    assert time.monotonic() - start < 3


def test_nobody_there() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = refused(f"http://127.0.0.1:{held.getsockname()[1]}/secret")
    assert "Connection refused" in error.message


@pytest.mark.parametrize(
    "bad", ["", "ftp://host/secret", "file:///secret", "http:///secret", "http://[secret", "secret"]
)
def test_only_http(bad: str) -> None:
    assert "no http or https URL" in refused(bad).message


def test_what_the_url_holds_is_not_shown(url: str) -> None:
    refused(f"{url}/with space/secret")
    refused(url.replace("http://", "http://user:secret@") + "/404")
    refused(f"{url}/to-file/secret")


def test_fetch(url: str, handler: type[Handler], tmp_path: Path) -> None:
    path = tmp_path / "archive"
    assert fetch_url(f"{url}/ok?secret", path) == len(CONTENT)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o600


def test_fetch_tries_again_after_a_cut(url: str, handler: type[Handler], tmp_path: Path) -> None:
    assert fetch_url(f"{url}/once?secret", tmp_path / "archive") == len(CONTENT)
    assert len(handler.seen) == 2


def test_fetch_takes_no_more_than_it_was_told(url: str, handler: type[Handler], tmp_path: Path) -> None:
    assert fetch_url(f"{url}/ok?secret", tmp_path / "archive", limit=len(CONTENT)) == len(CONTENT)
    (tmp_path / "archive").unlink()
    with pytest.raises(StoreError, match=f"larger than {len(CONTENT) - 1:,} bytes"):
        fetch_url(f"{url}/ok?secret", tmp_path / "archive", limit=len(CONTENT) - 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [("404", NotFoundError, "no such archive"), ("403", StoreError, "answer 403"), ("short", StoreError, "cut short")],
)
def test_fetch_leaves_nothing_behind(url: str, tmp_path: Path, what: str, error: type[StoreError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        fetch_url(f"{url}/{what}?secret", tmp_path / "archive")
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
