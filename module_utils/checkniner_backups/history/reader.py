"""The operator's side of the history: what the store holds of it, decrypted, and believed where it is signed.

Whoever may write to the store can lay something there that calls itself a history. A file counts if the server that it
is asked of has signed it, under the name that it has in the store. What does not count is left out, and said.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from ..archive.origin import Trust
from ..errors import ArchiveError, EncryptionError, NotFoundError, OriginError
from ..openpgp.stream import DecryptingReader
from ..openssh.signing import is_signed_by, signer
from ..settings import history_prefix
from ..storage.catalog import Listing, shown, stamped
from ..storage.s3 import Store
from ..system.timestamps import is_far_ahead
from .entries import LIMIT, History, parse, split, stamp_of

_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.json(\.gpg)?\Z")
_PAGES = 100
"""So many LISTs are sent at most: a hundred thousand files are two hundred years."""
_MOST = 400
"""So many files are read at most, the newest ones."""
_SIGNED = LIMIT + 4096
"""Bytes: a file with its signature."""
_STORED = _SIGNED + 65536
"""Bytes: the same, encrypted to many keys."""
_TRIES = 3
"""After so many files that cannot be decrypted, and none that can, nothing more is tried: a person may be asked for
the passphrase each time."""
_TOLD = 20


@dataclass(frozen=True)
class Known:
    """What the store's history tells.

    :ivar histories: the files that count, the oldest first, each with whose archives they are: one server's follow one
        another
    :ivar left_out: why the other files do not count, a sentence each
    """

    histories: tuple[tuple[str, History], ...]
    left_out: tuple[str, ...] = field(default=())


def read(store: Store, application: str, trust: Trust, since: datetime, gnupg_home: Path | None = None) -> Known:
    """Given a store, an application's name, whose history counts, and a time (aware), return the history since then,
    with the file before that time: what changed first has to be compared with something.

    :raises NotFoundError: the store holds no history
    :raises StoreError: the store cannot be asked
    :raises EncryptionError: the private key does not open the files
    """
    names, left_out = _names(store)
    first = next((number for number, name in enumerate(names) if name >= shown(since)), len(names))
    wanted = names[max(0, first - 1) :]
    if len(wanted) > _MOST:
        left_out.append(f"only the newest {_MOST} of {len(wanted)} files are read")
    found: list[tuple[str, History]] = []
    locked = 0
    for name in reversed(wanted[-_MOST:]):
        try:
            found.append(_read(store, name, application, trust, gnupg_home))
        except (ArchiveError, EncryptionError, OriginError, NotFoundError) as error:
            locked += isinstance(error, EncryptionError)
            if locked >= _TRIES and not found:
                raise
            left_out.append(f"{history_prefix(store.prefix)}{name} is left out: {error.message}")
    if not found and wanted:
        raise NotFoundError(
            f"no file of the history in {store} counts; {left_out[-1] if left_out else 'nothing is known of why'}",
            "where another server has made it, or it is not signed: -e other_server=true or -e unsigned=true",
        )
    more = [f"and {len(left_out) - _TOLD} more"] if len(left_out) > _TOLD else []
    return Known(tuple(reversed(found)), (*left_out[:_TOLD], *more))


@dataclass(frozen=True)
class File:
    """A file of the history in the store.

    :ivar stamp: when (aware, UTC) the first archive was saved that the file tells of
    :ivar size: bytes
    """

    key: str
    stamp: datetime
    size: int


def files(store: Listing) -> list[File]:
    """Given a store, return the files of the history in it, the oldest first. Lists, and reads nothing.

    :raises StoreError: the store cannot be asked
    """
    found = stamped(store, history_prefix(store.prefix), _NAME)
    return sorted(
        (File(each.key, stamp, each.size) for each, stamp, _ in found), key=lambda each: (each.stamp, each.key)
    )


def _names(store: Store) -> tuple[list[str], list[str]]:
    """Return the names of the files in their order, and what is left out of them."""
    prefix = history_prefix(store.prefix)
    pages = list(islice(store.pages(prefix), _PAGES))
    keys = [each.key for page in pages for each in page.objects]
    left_out = [f"only the first {len(keys):,} files below {prefix} are looked at"] if len(pages) == _PAGES else []
    names = sorted(name for key in keys if _NAME.match(name := key[len(prefix) :]))
    ahead = [name for name in names if is_far_ahead(f"{stamp_of(name)}.tar.gz")]
    if len(names) == len(ahead):
        raise NotFoundError(
            f"no history below {prefix} in {store}",
            "servers write one since version 1.2, with each archive that they save; checkniner-backups status says"
            " where that failed, and scripts/policy prints the rights that the server's keys need",
        )
    left_out += [f"{prefix}{name} is of the future and left out" for name in ahead]
    return names[: len(names) - len(ahead)], left_out


def _read(store: Store, name: str, application: str, trust: Trust, home: Path | None) -> tuple[str, History]:
    """Given the name of a file, return whose archives it tells of, and what it tells."""
    stored = store.read_head(history_prefix(store.prefix) + name, _STORED)
    data = _decrypted(stored, home) if name.endswith(".gpg") else stored
    lines, signature = split(data)
    history = parse(lines)
    if history.application != application:
        raise ArchiveError(f"it is of the application {history.application!r}")
    if stamp_of(history.first) != stamp_of(name):
        raise OriginError(f"it was made under another name, {stamp_of(history.first)}: somebody has copied it")
    return _origin(lines, signature, history, trust), history


def _decrypted(data: bytes, home: Path | None) -> bytes:
    found = bytearray()
    with DecryptingReader(io.BytesIO(data), home=home) as reader:
        while piece := reader.read(_SIGNED):
            found += piece
            if len(found) > _SIGNED:
                raise ArchiveError("it unfolds to more than a history can be")
    return bytes(found)


def _origin(lines: bytes, signature: bytes, history: History, trust: Trust) -> str:
    """Return by which name files of the same server are known."""
    if not signature:
        if trust.unsigned:
            return ""
        raise OriginError("it is not signed")
    made_by = signer(lines, signature)
    if is_signed_by(lines, signature, trust.identity, trust.known, history.entries[-1].created):
        return trust.identity
    if trust.other_server:
        return made_by
    raise OriginError(f"it was not made by {trust.identity}, but by a machine with the key {made_by}")
