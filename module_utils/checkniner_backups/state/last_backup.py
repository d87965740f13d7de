"""What a server remembers of its last backup: what the next tick compares with, and what `status` tells."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

_VERSION = 1
_TOLD = 7 * 86400.0
"""Seconds that a sudden loss of rows is told."""
_FORMER = {
    "full_look_at": "full_check_at",
    "mark": "snapshot_token",
    "shape": "archive_settings",
    "source": "database_id",
}
"""Names of fields that earlier versions wrote, and what they are called now."""


@dataclass(frozen=True)
class Fingerprint:
    """What the business data looked like at one snapshot.

    :param tables: digest (hex) of the rows of each business table, by quoted name
    :param catalogue: digest (hex) of those tables' columns and types
    :param schema: digest (hex) of `django_migrations` and of the names of all tables, business or not: a difference
        there has to be looked into, and is no change by itself
    :param whole: whether `tables` covers all business data; not where one is a view, or has its rows in other tables
    """

    tables: dict[str, str] = field(default_factory=dict)
    catalogue: str = ""
    schema: str = ""
    whole: bool = True


@dataclass(frozen=True)
class RowVersions:
    """What is remembered of the business tables' row versions at one snapshot; see postgres/row_versions.py.

    :param token: that snapshot's token; empty where nothing is remembered
    :param rows: how many rows each table held, by quoted name; not of tables that have to be hashed each time
    :param shapes: digest (hex) of each table's OID, columns and primary key, by quoted name
    :param writes: how many rows had ever been written in each, as the server's statistics tell, by quoted name
    """

    token: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, str] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shrinkage:
    """A table that has lost many of its rows between two archives.

    :param before: rows that it had
    :param now: rows that it has
    :param at: when that was seen, seconds since the epoch, UTC
    :param key: of the newest archive that holds the rows
    """

    before: int
    now: int
    at: float
    key: str

    def stands(self, now: float) -> bool:
        """Given the time, return whether it still is to be told: for a week at most."""
        return now - self.at < _TOLD

    def sentence(self, table: str) -> str:
        """Given the table's name, return what has happened and where the rows are."""
        return (
            f"{table} has lost {self.before - self.now:,} of its {self.before:,} rows; if that was an accident,"
            f" {self.key} still holds them, and if not, checkniner-backups backup --force ends this message"
        )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What is to be remembered of an archive that is not published yet. Times are seconds since the epoch, UTC.

    :param at: the time of the snapshot
    :param archive_settings: `Settings.archive_settings()` at that time
    :param database_id: which database it was read from, as text
    :param snapshot_token: the newest token at which the data was known to equal the archive's; empty where there is
        none
    :param business_tables: Django's tables of the business apps at that dump, with their schemas
    :param ignored: columns left out of the comparison, by quoted table name
    :param fingerprint: of the business data
    :param fixtures: digest (hex) of each business app's fixture
    :param full_check_at: when the last full comparison was made
    :param django: version of Django that wrote the fixtures
    :param migrations_table: where Django notes the migrations, with its schema
    :param warnings: what is outside of this archive, or may change unnoticed; one text each
    :param missing: the apps whose fixture the archive lacks, with the reason
    :param inexact: the apps whose fixture is not exact, with what is not
    :param rows: how many rows each business table holds, by quoted name
    :param models: the table of each model, as Django names them, by label
    :param shrunk: the business tables that have lost many of their rows, by quoted name
    :param last_whole: key of the newest archive that lacked nothing; empty where there is none
    :param unsigned: why the archive is not signed; empty where it is
    :param row_versions: the newest at which the business tables were known to hold what `fingerprint` tells
    """

    at: float
    archive_settings: str
    database_id: str
    snapshot_token: str
    business_tables: tuple[str, ...]
    ignored: dict[str, list[str]]
    fingerprint: Fingerprint
    fixtures: dict[str, str]
    full_check_at: float
    django: str
    migrations_table: str = "django_migrations"
    warnings: tuple[str, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    inexact: dict[str, list[str]] = field(default_factory=dict)
    last_whole: str = ""
    unsigned: str = ""
    row_versions: RowVersions = field(default_factory=RowVersions)
    rows: dict[str, int] = field(default_factory=dict)
    shrunk: dict[str, Shrinkage] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1)

    def published(self, key: str, size: int, sha256: str, *, now: float, verified: bool) -> LastBackup:
        """Given what the store has confirmed, return what to remember.

        :param size: in bytes
        :param sha256: the archive's digest (hex)
        :param now: seconds since the epoch
        :param verified: whether what the store computed of the archive is known to be what was sent
        """
        values = {each.name: getattr(self, each.name) for each in fields(Candidate)}
        if not self.missing:
            values["last_whole"] = key
        return LastBackup(key=key, size=size, sha256=sha256, seen_in_store_at=now, verified=verified, **values)


@dataclass(frozen=True, kw_only=True)
class LastBackup(Candidate):
    """The last archive that the store confirmed.

    :param seen_in_store_at: when the archive was last seen there
    :param verified: whether what the store computed of the archive is known to be what was sent
    """

    key: str
    size: int
    sha256: str
    seen_in_store_at: float
    verified: bool = True


_Remembered = TypeVar("_Remembered", Candidate, LastBackup)


def parse(text: str, kind: type[_Remembered]) -> _Remembered | None:
    """Given JSON, return what it says, or None where it is damaged or not of this version."""
    try:
        data: dict[str, Any] = json.loads(text)
        if data.pop("version") != _VERSION:
            return None
        for former, name in _FORMER.items():
            if former in data:
                data[name] = data.pop(former)
        data["fingerprint"] = Fingerprint(**data["fingerprint"])
        data["row_versions"] = RowVersions(**data.get("row_versions", {}))
        data["shrunk"] = {table: Shrinkage(**each) for table, each in data.get("shrunk", {}).items()}
        data["business_tables"] = tuple(data["business_tables"])
        data["warnings"] = tuple(data.get("warnings", ()))
        for name in data.keys() & {"at", "full_check_at", "seen_in_store_at"}:
            data[name] = float(data[name])
        for name in data.keys() & {"key", "archive_settings", "database_id", "snapshot_token"}:
            if not isinstance(data[name], str):
                return None
        if not isinstance(data["row_versions"].token, str):
            return None
        return kind(**data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
