"""How gpg is started and understood: arguments, pipes for secrets, status lines, messages."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import BackupsError, EncryptionError
from ..system.processes import Listener, answer

SESSION_KEY = re.compile(r"\d{1,3}:[0-9A-Fa-f]{32,}")
# The longest socket name that the agent makes below its home, and the longest that Linux takes (with its final zero).
_SOCKET, _SOCKET_LIMIT = "/S.gpg-agent.browser", 108


def check_home(home: Path) -> None:
    """Given a GNUPGHOME, return when an agent can have its sockets there.

    :raises EncryptionError: the path is too long
    """
    path = str(home.absolute())
    length = len(os.fsencode(path))
    if length + len(_SOCKET) < _SOCKET_LIMIT:
        return
    try:  # where there is a /run/user/UID, the sockets are there
        done = answer(["gpgconf", "--homedir", path, "--list-dirs", "agent-socket"])
    except FileNotFoundError as error:
        raise gpg_missing(error) from None
    if len(done.stdout.strip()) + len(_SOCKET) - len("/S.gpg-agent") >= _SOCKET_LIMIT:
        raise EncryptionError(
            f"the path of the GnuPG folder is too long ({length} bytes): {home}",
            f"use a path of at most {_SOCKET_LIMIT - len(_SOCKET) - 1} bytes, or GnuPG's agent cannot make its socket",
        )


def command_line(home: Path | None) -> list[str]:
    """Given a GNUPGHOME (None: the user's own), return the beginning of every gpg command."""
    arguments = ["gpg", "--batch", "--yes", "--no-tty"]
    return [*arguments, "--no-options", "--homedir", str(home)] if home else arguments


def loopback(passphrase: str | None) -> tuple[list[str], tuple[int, ...]]:
    """Given a passphrase, return the gpg arguments and the pipe that hands it over, to be closed by the caller."""
    if passphrase is None:
        return [], ()
    descriptor = pipe_with(passphrase)
    return ["--pinentry-mode", "loopback", "--passphrase-fd", str(descriptor)], (descriptor,)


def pipe_with(secret: str) -> int:
    """Given a short text, return the reading end of a pipe that holds it: no file, no argument, no variable."""
    data = secret.encode() + b"\n"
    if len(data) > 4096:
        raise EncryptionError("the secret is longer than 4,095 bytes")
    reading, writing = os.pipe()
    try:
        os.write(writing, data)
    finally:
        os.close(writing)
    return reading


def close_all(descriptors: tuple[int, ...]) -> None:
    """Close these file descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


def status_lines(output: str) -> list[list[str]]:
    """Given what gpg wrote to its status descriptor, return each status line as a list of words."""
    lines = (line.split() for line in output.splitlines())
    return [words[1:] for words in lines if len(words) > 1 and words[0] == "[GNUPG:]"]


def tidy(stderr: str) -> str:
    """Given gpg's messages, return the last of them on one line, without status lines and without any session key."""
    lines = [line.removeprefix("gpg:").strip() for line in stderr.splitlines() if not line.startswith("[GNUPG:]")]
    told = [line for line in lines if line and not SESSION_KEY.search(line) and "seskey" not in line]
    return f"gpg said: {'; '.join(told[-4:])[:600]}" if told else ""


def gpg_missing(error: Exception) -> BackupsError:
    """Given the failure to start gpg, return the error to raise."""
    if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.errno:
        return EncryptionError(f"cannot start gpg: {error.strerror}")
    return EncryptionError("gpg is not installed", "install the package gnupg: apt-get install gnupg")


class RunningGpg:
    """A running gpg with its three pipes. What it tells (messages and status lines) is collected by a thread."""

    def __init__(self, command: Sequence[str], descriptors: tuple[int, ...], environ: dict[str, str]) -> None:
        try:
            self.process = subprocess.Popen(
                [*command, "--status-fd", "2"], bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, pass_fds=descriptors, env=environ,
            )  # fmt: skip
        except OSError as error:
            raise gpg_missing(error) from None
        finally:
            close_all(descriptors)
        assert self.process.stdin  # noqa: S101 - for the type checker: all three are pipes
        assert self.process.stdout  # noqa: S101
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._said = Listener(self.process.stderr)

    def feed(self, data: bytes) -> None:
        """Write all of the bytes into gpg; an unbuffered pipe may take a part only."""
        view = memoryview(data)
        while view:
            view = view[self.stdin.write(view) or 0 :]

    def finish(self) -> tuple[int, list[list[str]], str]:
        """Wait for the end; return exit status, status lines and messages."""
        status = self.process.wait()
        said = self._said.text()
        return status, status_lines(said), tidy(said)

    def kill(self) -> None:
        """End gpg at once."""
        self.process.kill()
        self.process.wait()
