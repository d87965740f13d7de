"""A process that outlives the one that starts it, until it is told to end, its guardian is gone, or its time is up."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

log = logging.getLogger(__name__)

_PATIENCE = 60
"""Seconds that a process may take to clean up."""
Report = Callable[[bytes], None]


class _EndError(KeyboardInterrupt):
    """A kind of KeyboardInterrupt, so that nothing on the way takes it for an ordinary failure."""


def start(work: Callable[[Report], None], guardian: int, seconds: float) -> tuple[str, bytes]:
    """Given work, do it in a process of its own; return as soon as it has reported, or has ended without that.

    The work is interrupted by a KeyboardInterrupt where it is to end. It must import nothing after its report: where
    it came from (a module's zip) may be gone by then.

    :param work: is given a function that takes the report, to be called once
    :param guardian: the id of a process: when that is gone, the work ends; 0 for none
    :param seconds: how long all of it may take
    :returns: the process, as `stop` takes it, and the report; empty where there was none
    """
    watched = os.pidfd_open(guardian) if guardian else -1
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        _work(work, writing, watched, seconds)
    os.close(writing)
    if watched >= 0:
        os.close(watched)
    name = f"{process}-{_started(process)}"
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    if not told:
        os.waitpid(process, 0)
    return name, told


def _work(work: Callable[[Report], None], writing: int, watched: int, seconds: float) -> NoReturn:
    """Be the new process: nothing of it goes back to what started it but the report."""
    try:
        signal.signal(signal.SIGTERM, _end)
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        threading.Thread(target=_guard, args=(watched, seconds), name="guard", daemon=True).start()

        def report(told: bytes) -> None:
            with suppress(OSError), os.fdopen(writing, "wb") as pipe:
                pipe.write(told)

        work(report)
    except _EndError:
        pass
    finally:
        os._exit(0)


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  the signature of a handler
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the clean-up is not interrupted
    raise _EndError


def _guard(watched: int, seconds: float) -> None:
    """Wait until the guardian is gone or the time is up, and end this process then."""
    poll = select.poll()
    if watched >= 0:
        poll.register(watched, select.POLLIN)
    poll.poll(seconds * 1000)
    os.kill(os.getpid(), signal.SIGTERM)


def stop(name: str) -> bool:
    """Given a process that `start` has returned, end it and wait for that; return whether it was still there."""
    process, _, began = name.partition("-")
    try:
        handle = os.pidfd_open(int(process))
    except ProcessLookupError:
        return False
    try:
        if _started(int(process)) != began:  # the id is another's by now
            return False
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        if not poll.poll(_PATIENCE * 1000):
            log.warning("the process %s did not end by itself, and was killed", process)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    finally:
        os.close(handle)


def ancestor(word: str) -> int:
    """Given how a program's name begins, return the id of the process of that program that has started us; 0 for none.

    Where such a process was started by another of the kind, as a worker is, the outermost one is meant.
    """
    found, process = 0, os.getppid()
    while process > 1:
        if any(Path(each).name.startswith(word) for each in _words(process)):
            found = process
        elif found:
            break
        process = int(_stat(process)[1] or 0)
    return found


def _words(process: int) -> list[str]:
    try:
        return os.fsdecode(Path(f"/proc/{process}/cmdline").read_bytes()).split("\0")
    except OSError:
        return []


def _stat(process: int) -> list[str]:
    """Return what the kernel tells of a process, from its state on: the parent is the second, the start the twentieth.

    The name before that is anything, with blanks and parentheses.
    """
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return [""] * 20


def _started(process: int) -> str:
    return _stat(process)[19]
