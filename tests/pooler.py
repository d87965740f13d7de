"""A small pooler before PostgreSQL: it keeps server connections as they were left, as PgBouncer in transaction mode.

It tells its clients a process id that no server process has, as poolers do: theirs are random. PgBouncer itself is not
on everybody's machine.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType

_SSL_REQUEST, _CANCEL_REQUEST, _GSS_REQUEST = 80877103, 80877102, 80877104
MADE_UP = 2_000_000_001
"""A process id above what Linux gives."""


class Pooler:
    """Listens on a port of its own while the block lasts. One server connection serves one client after the other.

    :param port: PostgreSQL's
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._idle: list[tuple[socket.socket, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.queries: list[bytes] = []

    def __enter__(self) -> Pooler:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for server, _ in self._idle:
            server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(ConnectionError):
            startup = self._startup(client)
            if not startup:
                return
            if self._idle:
                server, greeting = self._idle.pop()
                client.sendall(greeting)
            else:
                server = socket.create_connection(("127.0.0.1", self._server_port))
                server.sendall(startup)
                greeting = self._log_in(client, server)
            if not greeting:
                server.close()
                return
            self._pass_on(client, server)
            self._idle.append((server, greeting))

    def _startup(self, client: socket.socket) -> bytes:
        """Return the client's start-up packet; no encryption is offered, a request to cancel is not heard."""
        while True:
            size = _exactly(client, 4)
            packet = size + _exactly(client, struct.unpack("!i", size)[0] - 4)
            (code,) = struct.unpack("!i", packet[4:8])
            if code == _CANCEL_REQUEST:
                return b""
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                return packet
            client.sendall(b"N")

    def _log_in(self, client: socket.socket, server: socket.socket) -> bytes:
        """Let the server ask the client for its password; return what a client is told once it is in, or nothing."""
        greeting = b""
        while True:
            kind, message = _message(server)
            if kind == b"K":
                message = message[:5] + struct.pack("!i", MADE_UP) + message[9:]
            client.sendall(message)
            if kind == b"E":
                return b""
            if kind == b"R" and struct.unpack("!i", message[5:9])[0] in (3, 5, 10, 11):  # it wants an answer
                server.sendall(_message(client)[1])
            elif kind != b"R" or message[5:9] == bytes(4):
                greeting += message
            if kind == b"Z":
                return greeting

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """Until the client goes: its good-bye is not for the server."""
        with selectors.DefaultSelector() as ready:
            for each in (client, server):
                ready.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    try:
                        kind, message = _message(key.fileobj)  # type: ignore[arg-type]
                    except ConnectionError:
                        return
                    if key.fileobj is client:
                        if kind == b"X":
                            return
                        if kind in b"QP":
                            self.queries.append(message)
                        server.sendall(message)
                    else:
                        client.sendall(message)


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = source.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind of the next message, and all of it."""
    head = _exactly(source, 5)
    return head[:1], head + _exactly(source, struct.unpack("!i", head[1:])[0] - 4)
