"""Fixtures, read and written by the application's own Django: the engine's side of `application_side`.

One process serves a whole run: it starts before a snapshot is taken (Django needs its time), and stays for the next
try when a lock was not to be had.
"""

from __future__ import annotations

import collections
import fcntl
import json
import os
import pkgutil
import re
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from . import application_side
from .application_side import (
    channel,
    columns,
    copyout,
    dump,
    jsonstream,
    load,
    lookups,
    main,
    plainness,
    plan,
    serializing,
)
from .application_side import registry as registry_side
from .errors import ApplicationError, LockTimeoutError
from .fixtures_report import FixturesReport, LoadReport, Registry

__all__ = ["FixturesProcess", "FixturesReport", "LoadReport", "Member", "Registry"]

# All are imported, though only their text is wanted: so Ansible sees that it must ship them.
_MODULES = (
    application_side, channel, columns, copyout, dump, jsonstream, load, lookups, main, plainness, plan, registry_side,
    serializing,
)  # fmt: skip
_PACKAGE = "checkniner_application_side"
_PATIENCE = 120.0
"""Seconds that Django may take to start."""
_PIPE_SIZE = 1 << 20
"""Bytes."""
_LAST_WORDS = 50
"""Lines of the application's stderr that are kept for an error message."""
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|DSN", re.IGNORECASE)


class Member(Protocol):
    """Where one app's fixture goes."""

    def write(self, data: bytes, /) -> object:
        """Take these bytes."""

    def close(self) -> object:
        """That was all."""


def scrubbed(text: str, environment: Mapping[str, str]) -> str:
    """Given text of the application and its environment, return it without the secrets of that environment."""
    secrets = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    for name, value in environment.items():
        if name.endswith("_URL") and "@" in value:
            secrets.add(value)
            with suppress(ValueError):
                password = urlsplit(value).password or ""
                secrets |= {password, unquote(password)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def write_program(path: Path) -> None:
    """Given a path, write the program there that the application's interpreter runs: a zip of `application_side`."""
    with zipfile.ZipFile(path, "w") as program:
        for module in _MODULES:
            name = "__init__" if module is application_side else module.__name__.rpartition(".")[2]
            source = pkgutil.get_data(application_side.__name__, f"{name}.py")
            program.writestr(f"{_PACKAGE}/{name}.py", source or b"")
        program.writestr("__main__.py", f"from {_PACKAGE}.main import main\nmain()\n")


class FixturesProcess:
    """The application's interpreter with Django set up, waiting for commands. Use it as a context manager.

    One thread at a time may call `dump` or `load`; any thread may call `kill`.
    """

    def __init__(self, process: subprocess.Popen[bytes], environment: Mapping[str, str], program: Path) -> None:
        self._process = process
        self._environment = environment
        self._program = program
        self._words: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
        self._listener = threading.Thread(target=self._listen, name="application's stderr", daemon=True)
        self._listener.start()
        self.registry: Registry

    @classmethod
    def start(
        cls, python: Path, application_path: Path, environment: Mapping[str, str], work_path: Path
    ) -> FixturesProcess:
        """Given the application's interpreter, folder and environment, start Django and wait until it is there.

        :param work_path: a folder that only we can read; the program is written there and removed at the end
        :raises ApplicationError: the interpreter or the application does not start
        """
        program = work_path / f"application-side-{os.getpid()}-{threading.get_ident()}.zip"
        write_program(program)
        try:
            process = subprocess.Popen(
                [str(python), str(program)],
                cwd=application_path,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            program.unlink(missing_ok=True)
            hint = "the virtualenv and the application's path are settings"
            raise ApplicationError(f"cannot start {python} in {application_path}: {error.strerror}", hint) from None
        started = cls(process, environment, program)
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # Linux allows it up to a limit; smaller pipes only cost time
                fcntl.fcntl(pipe or -1, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        late = threading.Timer(_PATIENCE, started.kill)
        late.start()
        try:
            started.registry = Registry.parse(started._receive("ready"))
        except BaseException:
            started.close()
            raise
        finally:
            late.cancel()
        return started

    @property
    def alive(self) -> bool:
        """Whether it still takes commands."""
        return self._process.poll() is None

    def __enter__(self) -> FixturesProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def dump(
        self,
        *,
        snapshot: str | None,
        lock_tables: Sequence[str],
        lock_timeout: float,
        apps: Sequence[str] | None,
        open_member: Callable[[str], Member],
    ) -> FixturesReport:
        """Given an exported snapshot, write each app's fixture to a member of its own; return what was in it.

        :param lock_tables: quoted names; all are locked (`ACCESS SHARE`) before anything is read
        :param lock_timeout: seconds to wait for a lock; 0: without end
        :param apps: labels; None for all
        :param open_member: called with an app's label; the member is closed when the fixture is complete, and only then
        :raises LockTimeoutError: a lock was not to be had; the members are worth nothing, the process takes another try
        :raises ApplicationError: the application failed, and is gone
        """
        self._send(
            do="dump",
            snapshot=snapshot,
            lock_tables=list(lock_tables),
            lock_timeout_ms=max(1, int(lock_timeout * 1000)) if lock_timeout else 0,
            apps=None if apps is None else list(self.registry.require(apps)),
        )
        member: Member | None = None
        sizes: dict[str, int] = {}
        while True:
            kind, payload = self._receive_frame()
            if kind == channel.DATA_FRAME:
                if member is None:
                    raise self._failed("it sent data out of turn")
                member.write(payload)
                continue
            message = self._message(payload)
            event = message["event"]
            if event == "app":
                member = open_member(message["app"])
            elif event == "app-end" and member is not None:
                member.close()
                member = None
                sizes[message["app"]] = message["objects"]
            elif event == "report":
                return FixturesReport.parse(message, self.registry, sizes)
            elif event == "lock-timeout":
                raise LockTimeoutError(
                    "the application's Django could not lock a table in time", "a migration is running, or waits"
                )
            else:
                raise self._failed(f"it sent {event!r} out of turn")

    def load(self, apps: Sequence[str], members: Iterable[tuple[str, Iterable[bytes]]], empty: bool) -> LoadReport:
        """Given members as (app, bytes), load them in one transaction; return how many objects there were.

        :param apps: labels of the apps whose members will come; empty: whatever comes is taken. Members should come in
            the order of an archive of ours; from older archives, `contenttypes` first, then `auth`
        :param empty: remove the apps' rows first, but not content types and permissions
        :raises ApplicationError: something could not be loaded: nothing was, and the process is gone
        """
        self._send(do="load", apps=list(self.registry.require(apps)), empty=empty)
        for app, chunks in members:
            self._send(do="load-member", app=app)
            for chunk in chunks:
                for start in range(0, len(chunk), channel.FRAME_SIZE):
                    self._write(channel.DATA_FRAME, chunk[start : start + channel.FRAME_SIZE])
            self._write(channel.DATA_FRAME, b"")
        self._send(do="load-end")
        message = self._receive("loaded")
        return LoadReport(apps=tuple(message["apps"]), objects=dict(message["models"]))

    def kill(self) -> None:
        """End the process at once, from any thread: who waits for it gets an ApplicationError."""
        self._process.kill()

    def close(self) -> None:
        """Let the process end, or end it; nothing of it stays."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError):  # what is left in the buffer of a dead pipe
                    stream.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(timeout=1)
        self._program.unlink(missing_ok=True)

    def _listen(self) -> None:
        """Read what the application prints, so that it never waits for us, and keep the end of it."""
        stderr = self._process.stderr
        if stderr:
            with stderr:
                while line := stderr.readline(4096):
                    self._words.append(line.decode(errors="replace").rstrip())

    def _send(self, **message: Any) -> None:
        self._write(channel.JSON_FRAME, json.dumps(message).encode())
        self._flush()

    def _flush(self) -> None:
        stdin = self._process.stdin
        try:
            if stdin:
                stdin.flush()
        except (OSError, ValueError):
            self._receive("")  # it is gone; its last message says why

    def _write(self, kind: bytes, payload: bytes) -> None:
        stdin = self._process.stdin
        try:
            if stdin:
                channel.write_frame(stdin, kind, payload)
        except (OSError, ValueError):
            self._receive("")

    def _receive_frame(self) -> tuple[bytes, bytes]:
        stdout = self._process.stdout
        try:
            frame = channel.read_frame(stdout) if stdout else None
        except (OSError, ValueError, channel.ProtocolError):
            frame = None
        if frame is None:
            self._process.kill()
            status = self._process.wait()
            self._listener.join(timeout=1)
            last = next((line for line in reversed(self._words) if line.strip()), "it said nothing")
            raise self._failed(f"it ended with status {status}: {last}")
        return frame

    def _message(self, payload: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(payload)
        if message["event"] == "error":
            raise self._failed(message["message"])
        return message

    def _receive(self, event: str) -> dict[str, Any]:
        """Return the next message, which must be this one.

        :raises ApplicationError: it is another, or the process is gone
        """
        kind, payload = self._receive_frame()
        if kind != channel.JSON_FRAME:
            raise self._failed("it sent data out of turn")
        message = self._message(payload)
        if message["event"] != event:
            raise self._failed(f"it sent {message['event']!r} out of turn")
        return message

    def _failed(self, why: str) -> ApplicationError:
        return ApplicationError(
            f"the application's Django failed: {scrubbed(why, self._environment)}",
            "try the same by hand: checkniner-backups exec -- python -m django check --database default",
        )
