"""Encrypting and decrypting streams of any length through gpg, in little memory, failing closed.

A stream that gpg did not finish with success, in its exit status and in its status lines, is an error: at the
`close()` of what was written, at the end of what was read.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Protocol

from ..errors import ArchiveError, BackupsError, EncryptionError
from ..system.environment import plain_environ
from ..system.files import short_folder
from .passphrase import asking_environ, not_unlocked
from .process import RunningGpg, check_home, command_line, loopback, pipe_with

_CHUNK = 256 * 1024


class Readable(Protocol):
    """What `DecryptingReader` and the archive reader read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at all only at the end."""


class Writable(Protocol):
    """What `EncryptingWriter` writes to."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""


class EncryptingWriter:
    """What is written here goes through gpg, and the ciphertext from there into `target`."""

    def __init__(self, target: Writable, recipients: Sequence[str], home: Path) -> None:
        """Given where the ciphertext goes, the primary fingerprints to encrypt to and the keyring, start gpg.

        :raises EncryptionError: gpg cannot be started
        """
        if not recipients:
            raise EncryptionError("no recipient to encrypt to", "set BACKUPS_GPG_RECIPIENT")
        check_home(home)
        # The fingerprints are pinned in the settings, so that gpg has nothing to ask about trust; what comes is
        # compressed already.
        command = [*command_line(home), "--no-autostart", "--no-encrypt-to", "--trust-model", "always"]
        command += ["--compress-algo", "none", "-z", "0", "--encrypt"]
        for recipient in recipients:
            command += ["--recipient", recipient]
        self._target = target
        self._error: BaseException | None = None
        self._gpg = RunningGpg(command, (), plain_environ())
        self._closed = False
        self._given = self._came = 0
        self._pump = Thread(target=self._pump_out, daemon=True)
        self._pump.start()

    def _pump_out(self) -> None:
        try:
            while data := self._gpg.stdout.read(_CHUNK):
                self._came += len(data)
                self._target.write(data)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that writes, and raised there
            self._error = error
            self._gpg.process.kill()

    def write(self, data: bytes) -> int:
        """Encrypt these bytes; return how many they were.

        :raises EncryptionError: gpg failed; whatever the target raised is raised too
        """
        try:
            self._gpg.feed(data)
        except BrokenPipeError:
            raise self._failure() from None
        self._given += len(data)
        return len(data)

    def close(self) -> None:
        """Finish. Only when this returns is the ciphertext whole.

        :raises EncryptionError: gpg failed; whatever the target raised is raised too
        """
        if self._closed:
            return
        self._gpg.stdin.close()
        exit_status, status, told = self._end()
        if self._error:
            raise self._error
        if exit_status or ["END_ENCRYPTION"] not in status:
            raise _encryption_failed(status, told)
        if self._came < self._given:  # nothing is compressed here
            raise EncryptionError(
                f"gpg was given {self._given:,} bytes and wrote {self._came:,}, and called that a success",
                "look what the program gpg is on this server: which gpg, gpg --version",
            )

    def abort(self) -> None:
        """Stop at once; what the target holds is of no use."""
        if not self._closed:
            self._gpg.kill()
            self._gpg.stdin.close()
            self._end()

    def _end(self) -> tuple[int, list[list[str]], str]:
        self._closed = True
        self._pump.join()
        self._gpg.stdout.close()
        return self._gpg.finish()

    def _failure(self) -> BaseException:
        self._gpg.stdin.close()
        _, status, told = self._end()
        return self._error or _encryption_failed(status, told)


def _encryption_failed(status: list[list[str]], told: str) -> BackupsError:
    refused = [words[1] for keyword, *words in status if keyword == "INV_RECP" and len(words) > 1]
    if refused:
        return EncryptionError(f"gpg cannot encrypt to {', '.join(refused)}", told)
    return EncryptionError("gpg did not finish the encryption", told)


class DecryptingReader:
    """What is read here is the plaintext of `source`. The end (no bytes) only comes when gpg vouches for all of it.

    Before that end nothing that was read is proven: use it where it can still be thrown away.
    """

    def __init__(
        self,
        source: Readable,
        *,
        session_key: str | None = None,
        home: Path | None = None,
        passphrase: str | None = None,
    ) -> None:
        """Given ciphertext and what opens it, start gpg.

        With a session key gpg needs no key and no agent, and runs in a temporary GNUPGHOME. Without one, the user's
        keyring (or `home`) and agent are used; `passphrase` is for where nobody can be asked.

        :raises EncryptionError: gpg cannot be started
        """
        self._archive = source
        self._error: BaseException | None = None
        self._folder: str | None = None
        self._ended = False
        environ = asking_environ()
        if session_key is not None:
            self._folder = tempfile.mkdtemp(prefix="cb-", dir=short_folder())
            descriptors: tuple[int, ...] = (pipe_with(session_key),)
            arguments = ["--no-autostart", "--override-session-key-fd", str(descriptors[0])]
            home, environ = Path(self._folder), plain_environ()
        else:
            if home:
                check_home(home)
            arguments, descriptors = loopback(passphrase)
        try:
            self._gpg = RunningGpg([*command_line(home), *arguments, "--decrypt"], descriptors, environ)
        except BaseException:
            self._remove_folder()
            raise
        self._feeder = Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        try:
            while data := self._archive.read(_CHUNK):
                self._gpg.feed(data)
        except BrokenPipeError:
            pass  # gpg has ended, or was ended: the reading side says why
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads, and raised there
            self._error = error
            self._gpg.process.kill()
        finally:
            self._gpg.stdin.close()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` (> 0) bytes of plaintext, often fewer; none at the proven end.

        :raises EncryptionError: damaged, cut short, or the wrong key; whatever the source raised is raised too
        """
        if self._ended:
            return b""
        data = self._gpg.stdout.read(size)
        if data:
            return data
        self._feeder.join()
        exit_status, status, told = self._end()
        if self._error:
            raise self._error
        keywords = {words[0] for words in status}
        # GOODMDC is also what gpg 2.4 says of AEAD; without it, anybody could have changed the ciphertext.
        if exit_status or not keywords >= {"DECRYPTION_OKAY", "GOODMDC", "END_DECRYPTION"}:
            raise _decryption_failed(status, keywords, told)
        return b""

    def close(self) -> None:
        """Stop, also before the end; the temporary GNUPGHOME is removed."""
        if not self._ended:
            self._gpg.kill()
            self._feeder.join(timeout=5)  # a source that hangs must not hold us; its thread ends with it
            self._end()

    def _end(self) -> tuple[int, list[list[str]], str]:
        self._ended = True
        self._gpg.stdout.close()
        try:
            return self._gpg.finish()
        finally:
            self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> DecryptingReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _decryption_failed(status: list[list[str]], keywords: set[str], told: str) -> BackupsError:
    if "BEGIN_DECRYPTION" not in keywords and "ENC_TO" not in keywords:
        return ArchiveError("this is not an archive encrypted by gpg", told)
    if "DECRYPTION_INFO" not in keywords:
        to = " or ".join(words[1] for words in status if words[0] == "ENC_TO" and len(words) > 1)
        to = f"the archive is encrypted to the key {to}"
        if locked := not_unlocked(status, to):
            return locked
        if "NO_SECKEY" in keywords:
            return EncryptionError(
                "no private key here decrypts the archive", f"{to}: import its private half on this machine"
            )
    return EncryptionError(
        "the archive cannot be decrypted whole: it is damaged, cut short, or the key is wrong",
        told or "fetch it again, or take an older one",
    )
