"""Fixtures, read and written by the application's own Django: the engine's side of `application_side`.

One process serves a whole run: it starts before a snapshot is taken (Django needs its time), and stays for the next
try when a lock was not to be had.
"""

from __future__ import annotations

import collections
import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from .account import Account, ourselves
from .application_side import channel
from .errors import ApplicationError, LockTimeoutError
from .fixtures_digest import FixtureDigest
from .fixtures_program import scrubbed, write_program
from .fixtures_report import FixturesReport, LoadReport, Member, Place, Registry

__all__ = ["FixturesProcess", "FixturesReport", "LoadReport", "Member", "Place", "Registry"]

_PATIENCE = 120.0
"""Seconds that Django may take to start."""
_PIPE_SIZE = 1 << 20
"""Bytes."""
_LAST_WORDS = 50
"""Lines of the application's stderr that are kept for an error message."""


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
        cls,
        python: Path,
        application_path: Path,
        environment: Mapping[str, str],
        work_path: Path,
        account: Account | None = None,
    ) -> FixturesProcess:
        """Given the application's interpreter, folder and environment, start Django and wait until it is there.

        :param work_path: a folder that only we can read; the program is written there and removed at the end
        :param account: who runs it, if not ourselves
        :raises ApplicationError: the interpreter or the application does not start
        """
        started = cls.launch(python, application_path, environment, work_path, account)
        try:
            started.wait_until_ready()
        except BaseException:
            started.close()
            raise
        return started

    @classmethod
    def launch(
        cls,
        python: Path,
        application_path: Path,
        environment: Mapping[str, str],
        work_path: Path,
        account: Account | None = None,
    ) -> FixturesProcess:
        """As `start`, but do not wait: before anything else, call `wait_until_ready`."""
        program = work_path / f"application-side-{os.getpid()}-{threading.get_ident()}.zip"
        write_program(program)
        account = account or ourselves()
        account.own(program)
        try:
            process = subprocess.Popen(
                [str(python), str(program)],
                cwd=application_path,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that `kill` reaches what it starts: the interpreter may be a wrapper
                **account.options(),
            )
        except OSError as error:
            program.unlink(missing_ok=True)
            hint = "the virtualenv and the application's path are settings"
            raise ApplicationError(f"cannot start {python} in {application_path}: {error.strerror}", hint) from None
        started = cls(process, environment, program)
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # Linux allows it up to a limit; smaller pipes only cost time
                fcntl.fcntl(pipe or -1, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        return started

    def wait_until_ready(self) -> None:
        """Wait until Django is set up; `registry` is known from then on.

        :raises ApplicationError: the application does not start, or not in time
        """
        late = threading.Timer(_PATIENCE, self.kill)
        late.daemon = True
        late.start()
        try:
            self.registry = Registry.parse(self._receive("ready"))
        finally:
            late.cancel()

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
        inside: bool = False,
    ) -> FixturesReport:
        """Given an exported snapshot, write each app's fixture to a member of its own; return what was in it.

        :param lock_tables: quoted names; all are locked (`ACCESS SHARE`) before anything is read
        :param lock_timeout: seconds to wait for a lock; 0: without end
        :param apps: labels; None for all
        :param open_member: called with an app's label; the member is closed when the fixture is complete, and only then
        :param inside: read inside the transaction of a load that holds, what it is about to commit
        :raises LockTimeoutError: a lock was not to be had; the members are worth nothing, the process takes another try
        :raises ApplicationError: the application failed, and is gone
        """
        self._send(
            do="dump",
            snapshot=snapshot,
            lock_tables=list(lock_tables),
            lock_timeout_ms=max(1, int(lock_timeout * 1000)) if lock_timeout else 0,
            apps=None if apps is None else list(self.registry.require(apps)),
            inside=inside,
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

    def place(self) -> Place:
        """Return which database the application is connected to, and what is there."""
        self._send(do="place")
        return Place.parse(self._receive("place"))

    def load(
        self,
        apps: Sequence[str],
        members: Iterable[tuple[str, Iterable[bytes]]],
        empty: bool,
        locked: Callable[[], None] | None = None,
        hold: bool = False,
    ) -> LoadReport:
        """Given members as (app, bytes), load them in one transaction; return how many objects there were.

        :param apps: labels of the apps whose members will come; empty: whatever comes is taken. Members should come in
            the order of an archive of ours; from older archives, `contenttypes` first, then `auth`
        :param empty: remove the apps' rows first, but not content types and permissions
        :param locked: lock the apps' tables against every writer first, then call this; if it raises, nothing is done
        :param hold: keep the transaction open until `commit`; whatever else happens undoes it
        :raises LockTimeoutError: somebody else is writing
        :raises ApplicationError: something could not be loaded: nothing was, and the process is gone
        """
        self._send(do="load", apps=list(self.registry.require(apps)), empty=empty, lock=locked is not None, hold=hold)
        if locked:
            self._receive("locked")
            locked()
        digests: dict[str, str] = {}
        for app, chunks in members:
            self._send(do="load-member", app=app)
            digest = FixtureDigest()
            for chunk in chunks:
                digest.write(chunk)
                for start in range(0, len(chunk), channel.FRAME_SIZE):
                    self._write(channel.DATA_FRAME, chunk[start : start + channel.FRAME_SIZE])
            self._write(channel.DATA_FRAME, b"")
            digest.close()
            digests[app] = digest.hexdigest()
        self._send(do="load-end")
        message = self._receive("loaded")
        return LoadReport(apps=tuple(message["apps"]), objects=dict(message["models"]), digests=digests)

    def commit(self) -> None:
        """Make what a load with `hold` has done lasting.

        :raises ApplicationError: it is not known whether that was done
        """
        self._send(do="commit")
        self._receive("committed")

    def kill(self) -> None:
        """End the process at once, from any thread: who waits for it gets an ApplicationError."""
        if self._process.returncode is None:  # not reaped yet: the id is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let the process end, or end it; nothing of it stays."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(OSError):  # what is left in the buffer of a dead pipe
                    stream.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.kill()
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
            self.kill()
            status = self._process.wait()
            self._listener.join(timeout=1)
            last = next((line for line in reversed(self._words) if line.strip()), "it said nothing")
            raise self._failed(f"it ended with status {status}: {last}")
        return frame

    def _message(self, payload: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(payload)
        if message["event"] == "error":
            raise self._failed(message["message"])
        if message["event"] == "load-locked-out":
            raise LockTimeoutError(
                "the application's tables could not be locked in time",
                "somebody is writing: stop the application first",
            )
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
