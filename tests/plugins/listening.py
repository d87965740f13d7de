"""A real HTTP listener that keeps what it was asked for, and answers as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass(frozen=True)
class Heard:
    """One request."""

    method: str
    target: str
    body: str
    at: float = field(compare=False, default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """What stands before the question mark."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """What stands behind it, decoded."""
        return {name: values[0] for name, values in parse_qs(self.target.partition("?")[2], True).items()}


@dataclass
class Listener:
    """`answer` is given each request and returns the status of the answer; it may take its time."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[Heard], int] = lambda _heard: 200

    def targets(self) -> list[str]:
        """Return method and target of each request."""
        return [f"{each.method} {each.target}" for each in self.heard]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener on the loopback interface."""
    made = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._hear()

        def do_POST(self) -> None:
            self._hear()

        def _hear(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            made.heard.append(heard := Heard(self.command, self.path, body))
            self.send_response(made.answer(heard))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
