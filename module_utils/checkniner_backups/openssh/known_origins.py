"""The keys that the control machine knows: a file beside the inventory, one line for each key of each server.

Its format is OpenSSH's list of allowed signers (ssh-keygen(1)), so that `ssh-keygen -Y verify` reads it as it is. A
server's first key is taken as it comes; another one for the same server is refused until somebody says that it is
right, as `known_hosts` does. The key before it then stays good for what it had signed up to that time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from ..errors import OriginError
from ..system.files import folder_locked, write_durably
from .signing import NAMESPACE, PublicKey, utc

_HEAD = (
    "# The keys that sign this inventory's archives: keep this file with the inventory, in the same repository.\n"
    "# Format: the allowed signers of ssh-keygen(1). Times are UTC. setup-backups.yml adds lines.\n"
)
_ENDED = ',valid-before="'


@dataclass(frozen=True)
class Learned:
    """What became of the file: its text before and after; equal where the key was known."""

    before: str
    after: str


@dataclass(frozen=True)
class _Line:
    """One key of one identity. `end` is empty where the key is in use."""

    identity: str
    key: str
    options: str

    @property
    def in_use(self) -> bool:
        return "valid-before=" not in self.options


def identity(name: str, host: str) -> str:
    """Given an application's name and its host's name in the inventory, return under which name its key is known.

    What is no letter, digit, dot, dash or underscore is percent-encoded: patterns and lists mean something in the file.
    """
    return f"{quote(name, safe='')}@{quote(host, safe=':')}"


def read(path: Path) -> str:
    """Given the path of the file, return its text; empty where there is none.

    :raises OriginError: it cannot be read
    """
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise OriginError(f"cannot read the known origins {path}: {why}", "look at the file's owner and mode") from None


def line(name: str, key: PublicKey, comment: str = "") -> str:
    """Given an identity and its key, return the line of the file."""
    return f'{name} namespaces="{NAMESPACE}" {key.line} {comment}'.rstrip() + "\n"


def learn(path: Path, name: str, key: PublicKey, *, new_origin: bool = False, dry_run: bool = False) -> Learned:
    """Given the path of the file, an identity and its key, add the key if the identity is new.

    :param new_origin: somebody says that another key than the known one is right
    :param dry_run: change nothing
    :raises OriginError: the identity is known with another key, or the key with another identity; nothing is changed
    """
    with folder_locked(path.parent):
        before = read(path)
        lines = list(_lines(before))
        mine = [each for each in lines if each.identity == name and each.in_use]
        if [each.key for each in mine] == [key.base64]:
            return Learned(before, before)
        others = sorted({each.identity for each in lines if each.key == key.base64} - {name})
        if not new_origin:
            _refuse(path, name, key, mine, others)
        after = (_ended(before, mine) or _HEAD) + line(name, key)
        if not dry_run:
            write_durably(path, after.encode())
            path.chmod(0o644)
        return Learned(before, after)


def _refuse(path: Path, name: str, key: PublicKey, mine: Sequence[_Line], others: Sequence[str]) -> None:
    if mine:
        known = PublicKey(mine[0].key).fingerprint
        raise OriginError(
            f"{name} signs with the key {key.fingerprint}, and {path} knows it with {known}",
            "either this server was made anew or lost its state folder, or another machine answers in its place; if it"
            " was made anew, say -e new_origin=true once: what the key before it has signed until now stays good",
        )
    if others:
        raise OriginError(
            f"{name} has the signing key of {', '.join(others)}: {key.fingerprint}",
            "if this server is a copy, remove signing_key and signing_key.pub from its state folder and run this again;"
            " if it was renamed, say -e new_origin=true once",
        )


def _lines(text: str) -> Iterator[_Line]:
    for each in text.splitlines():
        words = each.split()
        if len(words) > 2 and not each.startswith("#") and "ssh-ed25519" in words:
            at = words.index("ssh-ed25519")
            if at + 1 < len(words):
                yield _Line(words[0], words[at + 1], " ".join(words[1:at]))


def _ended(text: str, lines: Sequence[_Line]) -> str:
    """Return the text, in which these keys are good for what was signed until now."""
    end = f'{_ENDED}{utc(datetime.now(timezone.utc))}"'
    done = []
    for each in text.splitlines():
        found = next((old for old in lines if each.split()[:1] == [old.identity] and old.key in each.split()), None)
        done.append(each.replace(f"{found.options} ssh-", f"{found.options}{end} ssh-", 1) if found else each)
    return "".join(f"{each}\n" for each in done)
