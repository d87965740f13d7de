"""A process of the application's own interpreter, and the frames that go to it and come from it.

What the frames mean is `process.py`'s; how they look is `worker/channel.py`'s.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ..errors import ApplicationError, LockTimeoutError
from ..system.accounts import Account, ourselves
from ..system.pipes import widen
from ..system.processes import Listener, kill_group
from .program import scrubbed, write_program
from .worker import channel

_Self = TypeVar("_Self", bound="Interpreter")


class Interpreter:
    """The application's interpreter, running our program. Use it as a context manager, or `close` it.

    One thread at a time may talk to it; any thread may call `kill`.
    """

    def __init__(self, process: subprocess.Popen[bytes], environment: Mapping[str, str], program: Path) -> None:
        self._process = process
        self._environment = environment
        self._program = program
        self._said = Listener(process.stderr)

    @classmethod
    def launch(
        cls: type[_Self],
        python: Path,
        application_path: Path,
        environment: Mapping[str, str],
        work_path: Path,
        account: Account | None = None,
    ) -> _Self:
        """Given the application's interpreter, folder and environment, start it, and wait for nothing.

        :param work_path: a folder that only we can read; the program is written there and removed at the end
        :param account: who runs it, if not ourselves
        :raises ApplicationError: the interpreter does not start
        """
        account = account or ourselves()
        program = write_program(work_path, account)
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
        widen(process.stdin)
        widen(process.stdout)
        return cls(process, environment, program)

    @property
    def alive(self) -> bool:
        """Whether it still takes commands."""
        return self._process.poll() is None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def kill(self) -> None:
        """End the process at once, from any thread: who waits for it gets an ApplicationError."""
        kill_group(self._process)

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
        self._said.text(1)
        self._program.unlink(missing_ok=True)

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
            lines = [line.rstrip() for line in self._said.text(1).splitlines()]
            last = next((line for line in reversed(lines) if line), "it said nothing")
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
