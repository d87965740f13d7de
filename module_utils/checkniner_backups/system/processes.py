"""Programs that we start: what they answer, what they say on standard error, and how they are ended with all that they
started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

from .environment import plain_environ

_LIMIT = 64 * 1024


def answer(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, seconds: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Given a command, run it without input, and return its exit status and what it printed.

    :param env: its whole environment; None for `plain_environ`, which holds no secret
    :param seconds: how long it may take
    :raises OSError: it cannot be started
    :raises subprocess.TimeoutExpired: it took longer
    """
    return subprocess.run(
        [str(word) for word in argv], env=plain_environ() if env is None else env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, errors="surrogateescape", check=False, timeout=seconds,
    )  # fmt: skip


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Given a process that leads a group of its own, end the group at once; from any thread.

    A program may be a wrapper: what the wrapper has started is ended with it.
    """
    if process.returncode is None:  # not reaped yet: the id is still its own
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class Listener:
    """Reads what a program says on standard error, so that the program never waits for us, and keeps the end of it.

    :param limit: bytes that are kept
    """

    def __init__(self, stream: IO[bytes] | None, limit: int = _LIMIT) -> None:
        assert stream  # noqa: S101 - for the type checker: it is a pipe
        self._stream = stream
        self._limit = limit
        self._kept = bytearray()
        self._thread = Thread(target=self._listen, name="standard error", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        # A buffered pipe yields what is there, an unbuffered one does so anyway. Whoever started the program may close
        # the pipe meanwhile.
        read = getattr(self._stream, "read1", self._stream.read)
        with suppress(OSError, ValueError), self._stream:
            while data := read(4096):
                self._kept += data
                del self._kept[: -self._limit]

    def text(self, seconds: float | None = None) -> str:
        """Return the end of what was said, once the program has closed its standard error.

        :param seconds: how long to wait for that; None for as long as it takes
        """
        self._thread.join(seconds)
        return bytes(self._kept).decode(errors="replace")
