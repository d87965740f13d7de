"""The form of a history file: lines of JSON, and below them the signature.

A file holds the archives of one day (UTC), in their order. The first line tells whose the file is. Each further line is
an archive; the first of them names all tables, each later one only what differs from the archive before. The file is
named after its first archive: as no archive of a store is overwritten, no other server and no later life of this one
ever writes a file of that name.

A file comes from outside: the parser believes nothing about the text that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from ..errors import ArchiveError
from ..storage.s3 import ARCHIVE_NAME
from ..system.timestamps import iso, parse_iso

LIMIT = 1 << 20
"""Bytes: so long is a file at most, without its signature. Where a day's archives need more, another file begins."""
_FORMAT = 1
_KIND = "checkniner-backups history"
_DIGITS = 16
"""So many digits of a table's SHA-256 are kept: enough to tell whether it is the same as before."""
_DIGEST = re.compile(r"[0-9a-f]{16}\Z")
_LONGEST = 300
"""Characters: two names of PostgreSQL are shorter."""
_MOST_ROWS = 2**63
_SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\n"


class Table(NamedTuple):
    """What a table held: how many rows, and the beginning of their SHA-256 (hex)."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Entry:
    """One archive of a history.

    :ivar archive: its file name
    :ivar created: the time of its data (aware, UTC)
    :ivar tables: those that are new or hold something else than in the entry before, by `schema.name`
    :ivar gone: tables that were in the entry before
    :ivar business: the business tables, where they are not those of the entry before; else None
    :ivar models: the table of each model, as Django has them, where they are not those of the entry before; else None
    """

    archive: str
    created: datetime
    tables: Mapping[str, Table]
    gone: tuple[str, ...] = ()
    business: tuple[str, ...] | None = None
    models: Mapping[str, str] | None = None


@dataclass
class Content:
    """What one archive held, by the entries up to it."""

    tables: dict[str, Table] = field(default_factory=dict)
    business: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Given the next entry, become what its archive held."""
        for name in entry.gone:
            self.tables.pop(name, None)
        self.tables.update(entry.tables)
        self.business = self.business if entry.business is None else entry.business
        self.models = self.models if entry.models is None else entry.models

    def next_entry(self, saved: Saved) -> Entry:
        """Given the archive that was saved after the one of this content, return its entry."""
        now = saved.content
        return Entry(
            saved.archive, saved.created,
            {name: table for name, table in now.tables.items() if self.tables.get(name) != table},
            gone=tuple(sorted(self.tables.keys() - now.tables.keys())),
            business=now.business if now.business != self.business else None,
            models=now.models if now.models != self.models else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Saved:
    """An archive that the store has confirmed: its file name, the time of its data (aware, UTC), and what it holds."""

    archive: str
    created: datetime
    content: Content


@dataclass(frozen=True)
class History:
    """One file.

    :ivar application: the application's name
    :ivar store: where the archives are, in words; a file is no longer added to where that has changed
    :ivar origin: the fingerprint of the key that signs it; empty where there is none
    """

    application: str
    store: str
    origin: str
    entries: tuple[Entry, ...]

    @property
    def first(self) -> str:
        """The file name of its first archive."""
        return self.entries[0].archive

    def content(self) -> Content:
        """Return what the last archive held."""
        found = Content()
        for entry in self.entries:
            found.add(entry)
        return found

    def to_bytes(self) -> bytes:
        """Return the lines, as they are signed."""
        head = {"format": _FORMAT, "kind": _KIND, "application": self.application, "store": self.store,
                "origin": self.origin}  # fmt: skip
        return b"".join(json.dumps(each).encode() + b"\n" for each in (head, *map(_as_json, self.entries)))


def table_of(rows: int, sha256: str) -> Table:
    """Given what a manifest says of a table, return what a history does."""
    return Table(rows, sha256[:_DIGITS])


def stamp_of(archive: str) -> str:
    """Given an archive's file name, return the stamp in it, by which its file of a history is named."""
    return archive.partition(".")[0]


def split(data: bytes) -> tuple[bytes, bytes]:
    """Given a file, return its lines, and the signature below them, empty where there is none."""
    start = data.find(b"\n" + _SIGNATURE) + 1
    return (data[:start], data[start:]) if start else (data, b"")


def parse(lines: bytes) -> History:
    """Given the lines of a file, return the history.

    :raises ArchiveError: they are none, or of a later version
    """
    if len(lines) > LIMIT:
        raise ArchiveError(f"a history has {len(lines):,} bytes or more, and none of ours has so many")
    try:
        head, *values = [json.loads(line) for line in lines.splitlines()]
        if head["kind"] != _KIND or head["format"] != _FORMAT:
            raise ValueError
        entries = tuple(map(_entry, values))
        names = [each.archive for each in entries]
        if not names or any(later <= earlier for earlier, later in pairwise(names)):
            raise ValueError
        return History(_text(head["application"]), _text(head["store"]), _text(head["origin"]), entries)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ArchiveError("this is no history, a damaged one, or one of a later version") from None


def _as_json(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"archive": entry.archive, "created": iso(entry.created),
                            "tables": entry.tables}  # fmt: skip
    if entry.gone:
        told["gone"] = entry.gone
    if entry.business is not None:
        told["business"] = entry.business
    if entry.models is not None:
        told["models"] = entry.models
    return told


def _entry(value: Mapping[str, Any]) -> Entry:
    if not ARCHIVE_NAME.match(value["archive"]):
        raise ValueError
    business, models = value.get("business"), value.get("models")
    return Entry(
        value["archive"],
        parse_iso(value["created"]),
        {_text(name): _table(*each) for name, each in value["tables"].items()},
        gone=_texts(value.get("gone", [])),
        business=None if business is None else _texts(business),
        models=None if models is None else {_text(label): _text(table) for label, table in models.items()},
    )


def _table(rows: object, digest: object) -> Table:
    if type(rows) is not int or not 0 <= rows < _MOST_ROWS or not _DIGEST.match(_text(digest)):
        raise ValueError
    return Table(rows, str(digest))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError
    value.encode()  # refuses half of a surrogate pair
    return value
