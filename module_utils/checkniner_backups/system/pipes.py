"""Pipes between programs that do not wait for each other more than they must."""

from __future__ import annotations

import fcntl
from contextlib import suppress
from typing import IO

_SIZE = 1 << 20
"""Bytes: the most that Linux allows everybody."""


def widen(pipe: IO[bytes] | None) -> None:
    """Given a pipe, let it hold more than the usual 64 KiB, where the kernel allows it: smaller ones only cost time."""
    if pipe:
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _SIZE)
