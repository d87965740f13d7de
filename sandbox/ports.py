"""Ports that nobody listens on."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator


def free_ports(address: str, count: int) -> list[int]:
    """Given an address, return that many different ports that nobody listens on.

    All are held open until the last one is known, so that none is returned twice. Ports from 55536 on are left out:
    the server derives further port numbers by adding 10,000.
    """
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in _candidates():
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind((address, port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports on {address}")


def _candidates() -> Iterator[int]:
    """Random ports below the range that the kernel gives to outgoing connections."""
    for _ in range(1000):
        yield 20000 + secrets.randbelow(12000)
