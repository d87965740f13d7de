"""GnuPG: the server's keyring of public keys, and the session key that the control machine yields.

The bulk data goes through `stream`. Nothing secret is ever an argument of a command: keys and passphrases
travel through pipes. Works with GnuPG 2.2 and 2.4.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import ArchiveError, BackupsError, EncryptionError
from ..system.environment import plain_environ
from ..system.files import short_folder
from .passphrase import asking_environ, not_unlocked
from .process import (
    SESSION_KEY,
    check_home,
    close_all,
    command_line,
    gpg_missing,
    loopback,
    status_lines,
    tidy,
)

HEAD_BYTES = 8192
"""So much of an archive's beginning is enough for `session_key`, with several recipients too (2,000 do for one)."""

FILLER = bytes(256 * 1024)
"""Zeros that stand for what was not fetched: gpg reads blocks of 64 KiB and throws away what is shorter, session key
or not. They decrypt to noise."""

_NOT_USABLE = {"e": "expired", "r": "revoked", "d": "disabled", "i": "invalid"}


@dataclass(frozen=True)
class KeyStatus:
    """A public key that can encrypt now. `expires` (UTC) is when it no longer can; None: never."""

    fingerprint: str
    user_ids: tuple[str, ...]
    expires: datetime | None

    @property
    def days_left(self) -> float | None:
        """Days until the key can encrypt no more; None: no end."""
        return None if self.expires is None else (self.expires - datetime.now(timezone.utc)).total_seconds() / 86400


class Keyring:
    """The public keys that a server encrypts to, in a GNUPGHOME of their own (made at the first import, mode 0700)."""

    def __init__(self, home: Path) -> None:
        """Given a folder, use it as GNUPGHOME.

        :raises EncryptionError: its path is too long
        """
        check_home(home)
        self.home = home

    def import_public_key(self, text: str, fingerprint: str, *, dry_run: bool = False) -> bool:
        """Given a public key (ASCII armour) and its pinned fingerprint, import it; return whether anything changed.

        It is tried on a copy first: exactly this one key, and its public half only. With `dry_run` it stays at that.

        :raises EncryptionError: another key, several keys, a secret key, or no key at all
        """
        fingerprint = _plain(fingerprint)
        with tempfile.TemporaryDirectory(prefix="cb-", dir=short_folder()) as folder:
            for file in self.home.glob("pubring.*"):
                shutil.copy(file, folder)
            with _understood():
                gpg = _gnupg(Path(folder))
                scanned = gpg.scan_keys_mem(text)
            _check_one_public_key(text, scanned, fingerprint)
            changed = _import(gpg, text, fingerprint)
        if changed and not dry_run:
            try:
                self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise EncryptionError(f"cannot make the keyring {self.home}: {error.strerror}") from None
            _import(_gnupg(self.home), text, fingerprint)
        return changed

    def usable_for_encryption(self, fingerprint: str) -> KeyStatus:
        """Given the fingerprint of a primary key, return its status when one can encrypt to it now.

        :raises EncryptionError: the key is unknown, expired, revoked or disabled, or none of its parts can encrypt; or
            there is a private key in the keyring
        """
        fingerprint = _plain(fingerprint)
        if next((self.home / "private-keys-v1.d").glob("*.key"), None):
            raise EncryptionError(
                f"the keyring {self.home} holds a private key, which does not belong on a server",
                f"keep it elsewhere, remove it here (gpg --homedir {self.home} --delete-secret-keys), and think about"
                " a new key: this one was on a server",
            )
        with _understood():
            found = _gnupg(self.home).list_keys() if self.home.is_dir() else []
        keys = [key for key in found if key["fingerprint"] == fingerprint]
        if not keys:
            raise EncryptionError(
                f"the recipient {fingerprint} is not in the keyring {self.home}",
                "import its public key by running setup-backups.yml; the fingerprint must be the primary key's",
            )
        return _status(keys[0])


def session_key(
    head: bytes | Path, home: Path | None = None, *, passphrase: str | None = None, expected: Sequence[str] = ()
) -> str:
    """Given the beginning of an encrypted archive (or its path), return the session key that decrypts this archive.

    For the control machine: the operator's own keyring (or `home`) and agent are used, so a pinentry may ask.
    A `passphrase` is only for where nobody can be asked. An archive names subkeys; the fingerprints of the `expected`
    keys are what people know the keys by, and are named where no private key is found.

    :raises ArchiveError: this is not the beginning of an archive encrypted by GnuPG
    :raises EncryptionError: no private key for it, a wrong passphrase, or no way to ask for one
    """
    if home:
        check_home(home)
    if isinstance(head, Path):
        head = _head(head)
    arguments, secret = loopback(passphrase)
    command = [*command_line(home), *arguments, "--show-session-key", "--status-fd", "1", "--output", os.devnull]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(head[:HEAD_BYTES] + FILLER)
        given.seek(0)
        try:
            gpg = subprocess.Popen(
                [*command, "--decrypt"],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=said,
                env=asking_environ(),
                pass_fds=secret,
            )
        except FileNotFoundError as error:
            raise gpg_missing(error) from None
        finally:
            close_all(secret)
        told = ""
        with gpg:
            assert gpg.stdout  # noqa: S101 - for the type checker: it is a pipe
            for raw in gpg.stdout:
                line = raw.decode(errors="replace")
                told += line
                for keyword, *words in status_lines(line):
                    if keyword == "SESSION_KEY" and words and SESSION_KEY.fullmatch(words[0]):
                        # Not a step further: the filler decrypts to noise, and noise may look like one more encrypted
                        # packet, for which gpg would ask somebody for a passphrase.
                        gpg.kill()
                        return words[0]
        said.seek(0)
        raise _no_session_key(status_lines(told), tidy(said.read().decode(errors="replace")), expected)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def _understood() -> Iterator[None]:
    """Turn what python-gnupg raises where gpg does not answer as gpg does into an error of ours."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        raise EncryptionError(
            f"gpg does not work: {said}", "run gpg --version as the application's owner: what does it say?"
        ) from None


def _gnupg(home: Path) -> Any:
    import gnupg

    logging.getLogger("gnupg").setLevel(logging.ERROR)  # what goes wrong is raised here, in better words
    try:
        return gnupg.GPG(gnupghome=str(home), options=["--no-options", "--no-autostart"], env=plain_environ())
    except OSError as error:
        raise gpg_missing(error) from None


def _check_one_public_key(text: str, found: list[dict[str, Any]], fingerprint: str) -> None:
    if "PRIVATE KEY" in text or any(key["type"] != "pub" for key in found):
        raise EncryptionError(
            "this is a secret key, and it does not belong on the server",
            f"hand over the public half only: gpg --armor --export {fingerprint}",
        )
    if len(found) != 1:
        raise EncryptionError(
            f"expected one public key, found {len(found)}", f"make the file with: gpg --armor --export {fingerprint}"
        )
    if found[0]["fingerprint"] != fingerprint:
        raise EncryptionError(
            f"the public key is {found[0]['fingerprint']}, but {fingerprint} is pinned",
            "set BACKUPS_GPG_RECIPIENT to the fingerprint of the key that you want, and check it by another way",
        )


def _import(gpg: Any, text: str, fingerprint: str) -> bool:
    result = gpg.import_keys(text)
    if result.count != 1 or result.sec_read or result.not_imported:
        raise EncryptionError(f"gpg did not import the public key {fingerprint}", tidy(result.stderr))
    return not result.unchanged


def _plain(fingerprint: str) -> str:
    return fingerprint.replace(" ", "").upper()


def _status(key: dict[str, Any]) -> KeyStatus:
    fingerprint = key["fingerprint"]
    hint = "extend or replace the key, export its public half, and run setup-backups.yml again"
    if key["trust"] in _NOT_USABLE:
        when = f" on {_time_of(key['expires']):%Y-%m-%d}" if key["trust"] == "e" and key["expires"] else ""
        raise EncryptionError(f"the public key {fingerprint} is {_NOT_USABLE[key['trust']]}{when}", hint)
    if "D" in key["cap"]:
        raise EncryptionError(
            f"the public key {fingerprint} is disabled", "enable it: gpg --edit-key, then enable, then save"
        )
    parts = [part for part in key.get("subkey_info", {}).values() if "e" in part["cap"]]
    if "e" in key["cap"]:
        parts.append(key)
    usable = [part for part in parts if part["trust"] not in _NOT_USABLE]
    if not usable:
        if not parts:
            raise EncryptionError(
                f"the public key {fingerprint} cannot encrypt: it has no encryption sub-key",
                f"add one: gpg --quick-add-key {fingerprint} cv25519 encr; then export it and run setup-backups.yml",
            )
        reasons = ", ".join(sorted({_NOT_USABLE[part["trust"]] for part in parts}))
        raise EncryptionError(f"the encryption sub-key of {fingerprint} is {reasons}", hint)
    ends = [part["expires"] for part in usable]
    last = None if "" in ends else max(_time_of(end) for end in ends)
    own = _time_of(key["expires"]) if key["expires"] else None
    return KeyStatus(fingerprint, tuple(key["uids"]), min((end for end in (last, own) if end), default=None))


def _time_of(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc)


def _no_session_key(status: list[list[str]], told: str, expected: Sequence[str]) -> BackupsError:
    recipients = [words[0] for keyword, *words in status if keyword == "ENC_TO" and words]
    if not recipients:
        return ArchiveError(
            "this is not the beginning of an archive encrypted by gpg", told or "was it damaged or cut short?"
        )
    to = f"the archive is encrypted to the key {' or '.join(recipients)}"
    if locked := not_unlocked(status, to):
        return locked
    missing = [words[0] for keyword, *words in status if keyword == "NO_SECKEY" and words]
    if set(missing) >= set(recipients):
        keys = f" (the inventory encrypts to {' and '.join(expected)})" if expected else ""
        return EncryptionError(
            "no private key here decrypts the archive", f"{to}{keys}: import its private half on this machine"
        )
    return EncryptionError("gpg gave no session key for the archive", f"{to}; {told}")
