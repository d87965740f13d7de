"""Plain HTTP, against real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from checkniner_backups.errors import NotFoundError, StoreError
from checkniner_backups.system.http import fetch_url

CONTENT = b"archive" * 1000


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        what = self.path.split("/")[1].split("?")[0]
        if what in ("ok", "short", "once"):
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
    return type("ThisHandler", (Handler,), {"seen": []})


@pytest.fixture
def url(handler: type[Handler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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
