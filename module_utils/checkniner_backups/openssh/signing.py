"""Who made an archive: its manifest is signed with a key of the installation's own, by ssh-keygen.

The key is ed25519, has no passphrase and stays on the server. Its fingerprint is the *origin* of an archive. OpenSSH
signs in about 5 ms, needs no daemon, and is on every Debian host; see ssh-keygen(1), `-Y sign` and `-Y verify`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..errors import DiskError, OriginError
from ..system.environment import plain_environ

NAMESPACE = "checkniner-backups"
"""What the signatures are for: OpenSSH refuses one that was made for something else (mail, git, a login)."""
KEY_NAME = "signing_key"
"""Name of the private key's file in the state folder; the public half has `.pub` after it."""
_TYPE = "ssh-ed25519"
_TIME = "%Y%m%d%H%M%S"
_SIGNER = re.compile(rb"\bkey (SHA256:[A-Za-z0-9+/]{43})\b")
_TIMEOUT = 60.0
"""Seconds: a program that takes so long for a few milliseconds' work is stuck."""


@dataclass(frozen=True)
class PublicKey:
    """The public half of a signing key, in base64; `line` is what OpenSSH's files hold of it."""

    base64: str

    @property
    def line(self) -> str:
        """The type and the key, as in `authorized_keys`."""
        return f"{_TYPE} {self.base64}"

    @property
    def fingerprint(self) -> str:
        """The fingerprint as OpenSSH prints it: the origin of what this key signs."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def parse_public_key(text: str) -> PublicKey:
    """Given the text of a `.pub` file, return the key.

    :raises OriginError: no ed25519 key of OpenSSH
    """
    words = text.split()
    try:
        if words[0] != _TYPE or len(base64.b64decode(words[1], validate=True)) != 51:
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise OriginError("the signing key's public half is no ed25519 key of OpenSSH", "make the key anew") from None
    return PublicKey(words[1])


def public_key(folder: Path) -> PublicKey | None:
    """Given the state folder, return the public half of its signing key, or None where there is no key.

    :raises OriginError: it cannot be read, or is none
    """
    path = folder / f"{KEY_NAME}.pub"
    try:
        return parse_public_key(path.read_text(errors="replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OriginError(f"cannot read {path}: {error.strerror}", "run as the application's owner") from None


def make_key(folder: Path, comment: str) -> bool:
    """Given the state folder, make its signing key if there is none; return whether one was made.

    :param comment: a text for people, in the public half
    :raises OriginError: ssh-keygen is missing or failed
    :raises DiskError: the folder cannot be written
    """
    path = folder / KEY_NAME
    if path.exists() and public_key(folder):
        return False
    try:
        with tempfile.TemporaryDirectory(prefix=".scratch-key-", dir=folder) as scratch:
            new = Path(scratch) / KEY_NAME
            if path.exists():  # its public half was lost
                half = _run(["-y", "-P", "", "-f", str(path)]).stdout
                new.with_suffix(".pub").write_bytes(half)
            else:
                _run(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(new)])
                new.rename(path)
            new.with_suffix(".pub").rename(path.with_suffix(".pub"))
    except OSError as error:
        raise DiskError.at(folder, error) from None
    return True


def sign(data: bytes, folder: Path) -> bytes:
    """Given the bytes of a manifest and the state folder, return their signature (SSHSIG, armoured).

    The signature is checked at once: one that is none would have the archive refused as forged on the bad day.

    :raises OriginError: the key cannot be used, ssh-keygen is missing, or what it made is no signature of these bytes
    """
    key = public_key(folder)
    signature = _run(["-q", "-Y", "sign", "-f", str(folder / KEY_NAME), "-n", NAMESPACE], data).stdout
    try:
        made_by = signer(data, signature)
    except OriginError:
        made_by = ""
    if not key or made_by != key.fingerprint:
        raise OriginError(
            "what ssh-keygen made is no signature by this server's key",
            f"look what the program ssh-keygen is, and whether {KEY_NAME} and {KEY_NAME}.pub belong together",
        )
    return signature


def signer(data: bytes, signature: bytes) -> str:
    """Given bytes and their signature, return the fingerprint of the key that made it, known or not.

    :raises OriginError: the signature is not one of these bytes
    """
    with _file(signature) as path:
        done = _run(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", path], data, may_fail=True)
    found = _SIGNER.search(done.stdout)
    if done.returncode or not found:
        raise OriginError(
            "the archive's signature is not one of its manifest: it is damaged or forged",
            "look who else writes below this prefix, and take another archive",
        )
    return found[1].decode()


def is_signed_by(data: bytes, signature: bytes, identity: str, known: str, at: datetime) -> bool:
    """Given bytes, their signature and a text of known origins, return whether this identity signed them.

    :param at: when they were signed, UTC: a key is good up to the end that stands beside it
    """
    with _file(known.encode()) as signers, _file(signature) as path:
        words = ["-Y", "verify", "-f", signers, "-I", identity, "-n", NAMESPACE, "-s", path, "-O", _verify_time(at)]
        return _run(words, data, may_fail=True).returncode == 0


def identities(signature: bytes, known: str, at: datetime) -> tuple[str, ...]:
    """Given a signature and a text of known origins, return the identities that its key is known for at that time."""
    with _file(known.encode()) as signers, _file(signature) as path:
        words = ["-Y", "find-principals", "-f", signers, "-s", path, "-O", _verify_time(at)]
        done = _run(words, may_fail=True)
    return () if done.returncode else tuple(done.stdout.decode(errors="replace").split())


def utc(at: datetime) -> str:
    """Given a time, return it as OpenSSH's files hold it.

    Without a zone, for releases before 9.1 know none; every call here runs in UTC.
    """
    return at.astimezone(timezone.utc).strftime(_TIME)


def _verify_time(at: datetime) -> str:
    return f"verify-time={utc(at)}"


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    """Given bytes, yield the path of a file that holds them: ssh-keygen takes signers and signatures from files."""
    with tempfile.NamedTemporaryFile(prefix="checkniner-origin-") as file:
        file.write(content)
        file.flush()
        yield file.name


def _run(words: Sequence[str], data: bytes = b"", *, may_fail: bool = False) -> subprocess.CompletedProcess[bytes]:
    environment = {**plain_environ(), "TZ": "UTC0"}
    try:
        done = subprocess.run(
            ["ssh-keygen", *words], input=data, env=environment, capture_output=True, check=False, timeout=_TIMEOUT
        )
    except FileNotFoundError:
        raise OriginError("ssh-keygen is not installed on this machine", "apt-get install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise OriginError(f"ssh-keygen did not end within {_TIMEOUT:g} s", "look at the machine's load") from None
    if done.returncode and not may_fail:
        said = " ".join(done.stderr.decode(errors="replace").split())[:300]
        raise OriginError(
            f"ssh-keygen failed: {said or 'it said nothing'}", f"look at the file {KEY_NAME} in the state folder"
        )
    return done
