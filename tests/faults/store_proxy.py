"""A proxy between the engine and a real S3 server that understands requests, and answers some of them wrongly."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>no</Message></Error>'
STATUSES = {
    "403": ("403", "AccessDenied"), "404": ("404", "NoSuchBucket"), "500": ("500", "InternalError"),
    "503": ("503", "SlowDown"), "301": ("301", "PermanentRedirect"), "507": ("507", "InsufficientStorage"),
}  # fmt: skip
LATE = 3.0
"""Seconds by which a late answer is late."""


def operation(method: str, path: str) -> str:
    """Given a request, return what it is for S3."""
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    if method == "GET" and parts.path.count("/") < 2:
        return "ListMultipartUploads" if "uploads" in query else "ListObjects"
    names = {
        ("PUT", "partNumber"): "UploadPart",
        ("POST", "uploads"): "CreateMultipartUpload",
        ("POST", "uploadId"): "CompleteMultipartUpload",
        ("DELETE", "uploadId"): "AbortMultipartUpload",
    }
    for (verb, parameter), name in names.items():
        if method == verb and parameter in query:
            return name
    return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, method)


@dataclass
class Wrong:
    """What is done wrongly, and with which operation; the first `spared` requests of the operation are left alone."""

    fault: str = ""
    operation: str = ""
    once: bool = False
    seen: list[str] = field(default_factory=list)


class StoreProxy(ThreadingHTTPServer):
    """Listens on a free port of the loopback interface."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store_port = port
        self.wrong = Wrong()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """Connections break here, on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StoreProxy

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815 - names of the library

    def _handle(self) -> None:
        wrong, name = self.server.wrong, operation(self.command, self.path)
        wrong.seen.append(name)
        fault = wrong.fault if name == wrong.operation else ""
        if fault and wrong.once:
            wrong.fault = ""
        if fault == "refused":
            self._drop()
            return
        if fault == "cut in the request":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length", "0")) // 2))
            self._drop()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if fault in STATUSES:
            self._answer(STATUSES[fault][0], ERROR.format(STATUSES[fault][1]).encode())
        elif fault == "success without doing it":
            etag = f'"{hashlib.md5(body).hexdigest()}"'
            self._answer("200", b"", {"ETag": etag})
        elif fault == "nonsense":
            self._answer("200", b"\x00<not xml \xff\xfe")
        elif fault == "an empty answer":
            self._answer("200", b"")
        else:
            self._pass(fault, body)

    def _pass(self, fault: str, body: bytes) -> None:
        if fault == "flipped in the request" and body:
            body = body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]
        if fault == "late":
            time.sleep(LATE)
        store = http.client.HTTPConnection("127.0.0.1", self.server.store_port, timeout=60)
        store.request(self.command, self.path, body, dict(self.headers.items()))
        answer = store.getresponse()
        data = answer.read()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OURS}
        if fault == "the answer is lost":
            self._drop()
        elif fault == "cut in the answer":
            self._answer(str(answer.status), data[: len(data) // 2], headers, length=len(data) or 10)
            self._drop()
        elif fault == "flipped in the answer" and data:
            data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
            self._answer(str(answer.status), data, headers)
        elif fault == "another size" and self.command == "HEAD":
            self._answer(str(answer.status), b"", headers, length=7)
        else:
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self._answer(str(answer.status), data, headers, length=int(length) if length else None)

    def _answer(
        self, status: str, body: bytes, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> None:
        self.send_response_only(int(status))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(OSError):
                self.wfile.write(body)

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


_OURS = {"content-length", "connection", "transfer-encoding"}
