"""Whether the business data changed since the last saved archive: three checks, cheapest first.

1. *The snapshot token* (about a millisecond, no transaction, no Django): the same MVCC snapshot in the same database of
   the same server run. Sound because visibility is a function of the snapshot alone; see postgres/snapshot_token.py.
2. *The rows* (about half a second for a million rows, no Django): SHA-256 over the business tables' rows, their
   columns and types, `django_migrations` and the names of all tables, in one snapshot with every table locked. A table
   that holds the row versions of the last equal snapshot is not read: its digest is the one that is remembered. The
   reasons why that is sound are in postgres/row_versions.py; nothing of it reaches the full check. The business
   tables are the ones that Django's registry named at the last dump. Sound because a model can only come, go or change
   its columns by a migration, which the digest covers, or by hand (`migrate --run-syncdb` too), which the catalogue's
   digest and the tables' names cover. A partitioned table's rows are its partitions'. Large objects, and the rows of
   extensions' configuration tables, count as business data wherever there are any: no model tells whose they are. Where
   a model's rows are in no table (a view with `managed = False`, a foreign table), they have no row digest: such an
   application always needs the full check.
3. *Everything* (the full check, which is a dump): Django's registry as it is now, every table's digest, and the
   fixtures of the business apps. It decides in the end, and runs once a day even where the cheap checks see nothing.

"Unchanged" is only ever said against an archive that the store has confirmed, made from the same database under the
same settings (apps, ignored fields, recipients, bucket, prefix, format). A token that was taken in the
very snapshot in which the second or the full check found equality may replace the remembered one; digests stay those of
the saved archive.

In the full check the rows decide as well as the fixtures, not the fixtures alone: Django's JSON cuts microseconds, and
shows no column that no model knows. A difference in `django_migrations` or the tables' names alone leads to the full
check and is no change by itself: it may be another app's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ..state.last_backup import Fingerprint, LastBackup

if TYPE_CHECKING:
    from ..postgres.digest import TableDigest
    from ..postgres.extensions import ConfigurationTable
    from ..postgres.session import Connection
    from ..postgres.snapshot import Snapshot, Table

MIGRATIONS_TABLE = "django_migrations"
_WHILE_PARTIAL = 3600.0
"""Seconds between two full comparisons while the newest archive lacks a fixture."""


class CheckLevel(Enum):
    """Which change check decided."""

    NONE = "no check"
    SNAPSHOT = "snapshot check"
    ROWS = "row check"
    FULL = "full check"

    @property
    def key(self) -> str:
        """Its name in JSON and in the results of modules."""
        return self.name.lower()

    @property
    def former_key(self) -> str:
        """Its name until version 1.0, which monitors may still read."""
        return "mark" if self is CheckLevel.SNAPSHOT else self.key


@dataclass(frozen=True)
class Verdict:
    """What was decided, at which level, and why, for the log."""

    changed: bool
    level: CheckLevel
    reason: str

    def __str__(self) -> str:
        return f"{'changed' if self.changed else 'unchanged'} ({self.level.value}): {self.reason}"


def comparable(saved: LastBackup | None, archive_settings: str, database_id: str) -> tuple[LastBackup | None, str]:
    """Given what was last saved, and the archive's settings and the database now, return it if it may be compared with,
    else why not."""
    if saved is None:
        return None, "nothing is known to be in the store"
    if saved.archive_settings != archive_settings:
        return None, "the settings that decide what an archive holds have changed"
    if saved.database_id != database_id:
        return None, f"the last archive is of {saved.database_id}"
    return saved, ""


def full_check_due(saved: LastBackup, now: float, every: float) -> bool:
    """Given the time (seconds since the epoch) and the interval (seconds), return whether everything is to be compared.

    A clock that went back makes it due as well.
    """
    return not 0 <= now - saved.full_check_at < full_check_interval(saved, every)


def full_check_interval(saved: LastBackup, every: float) -> float:
    """Given the interval (seconds) of the settings, return the one that counts: shorter while a fixture is missing.

    What mends a fixture may be a new version of the application's code, which changes no row: only the full comparison
    notices it.
    """
    return min(every, _WHILE_PARTIAL) if saved.missing else every


def by_token(saved: LastBackup, token: str) -> Verdict | None:
    """Given the token now, return "unchanged" if it settles the question, else None."""
    if token and token == saved.snapshot_token:
        return Verdict(False, CheckLevel.SNAPSHOT, "nothing that is visible has changed since the last check")
    return None


def by_rows(saved: LastBackup, now: Fingerprint) -> Verdict | None:
    """Given the business data's fingerprint now, return "unchanged" if it covers everything and is equal, else None."""
    if now.whole and now == saved.fingerprint:
        return Verdict(False, CheckLevel.ROWS, "the business data's rows are those of the last archive")
    return None


def by_everything(
    saved: LastBackup | None,
    why_not: str,
    now: Fingerprint,
    fixtures: Mapping[str, str],
    missing: Collection[str] = (),
) -> Verdict:
    """Given the fingerprint and the digests (hex) of the business apps' fixtures now, return the final word.

    :param missing: apps whose fixture could not be read now. Their rows decide alone: where these are equal, the
        archive in the store is at least as good as a new one. Where not all rows can be compared, nothing is known.
    """
    if saved is None:
        return Verdict(True, CheckLevel.FULL, why_not)
    reasons = []
    before = saved.fingerprint.tables
    names = sorted(name for name in {*before, *now.tables} if before.get(name) != now.tables.get(name))
    if names:
        reasons.append(f"rows of {', '.join(names)}")
    if now.catalogue != saved.fingerprint.catalogue:
        reasons.append("columns of the business tables")
    compared = {*saved.fixtures, *fixtures} - set(saved.missing) - (set(missing) if now.whole else set())
    names = sorted(app for app in compared if saved.fixtures.get(app) != fixtures.get(app))
    if names:
        reasons.append(f"fixtures of {', '.join(names)}")
    if readable := sorted(set(saved.missing) - set(missing)):
        reasons.append(f"fixtures of {', '.join(readable)}, which can be read again")
    if reasons:
        return Verdict(True, CheckLevel.FULL, f"different from the last archive: {'; '.join(reasons)}")
    return Verdict(False, CheckLevel.FULL, "rows and fixtures of the business apps are those of the last archive")


def cheap_checks_could_see(
    saved: LastBackup, now: Fingerprint, fixtures: Mapping[str, str], missing: Collection[str]
) -> bool:
    """Given what `by_everything` was given and found different, return whether the rows or the fixtures that the last
    archive holds differ.

    Where only those differ that it lacks, the application's code has been mended: no row tells of that.
    """
    known = {app: digest for app, digest in fixtures.items() if app not in saved.missing}
    return by_everything(saved, "", now, known, {*missing, *saved.missing}).changed


def business_tables(snapshot: Snapshot, names: Iterable[str]) -> tuple[tuple[Table, ...], bool]:
    """Given names of Django's tables, return the tables to hash, and whether they hold all rows of all those names."""
    tables: dict[int, Table] = {}
    whole = True
    for name in names:
        table = snapshot.find(name)
        family, complete = snapshot.family(table) if table else ((), False)
        tables |= {each.oid: each for each in family}
        whole = whole and complete
    return tuple(tables.values()), whole


def take_fingerprint(
    connection: Connection,
    tables: Iterable[Table],
    *,
    migrations: Table | None,
    everything: Iterable[Table],
    ignored: Mapping[str, frozenset[str]],
    configuration: Iterable[ConfigurationTable] = (),
    known: Mapping[int, TableDigest] | None = None,
    same: Mapping[int, TableDigest] | None = None,
    whole: bool = True,
) -> tuple[Fingerprint, dict[int, TableDigest]]:
    """Given the business tables, `django_migrations`, and all tables, return the fingerprint in this transaction's
    snapshot.

    :param ignored: columns to leave out, by quoted table name
    :param configuration: extensions' tables, whose rows count as well
    :param known: digests of whole tables, by OID, that were already taken in the same snapshot
    :param same: digests, by OID, of tables whose row versions are known to be those of an earlier snapshot
    :param whole: whether these tables hold all business data
    :returns: the fingerprint, and the digests of whole tables taken on the way, by OID
    """
    from ..postgres import large_objects
    from ..postgres.digest import catalogue_digest, columns_of, digest_table

    tables, configuration = tuple(tables), tuple(configuration)
    columns = columns_of(connection, (*tables, *configuration, *([migrations] if migrations else [])))
    digests = dict(known or {})
    same = same or {}

    def digest(table: Table | ConfigurationTable) -> str:
        without = ignored.get(table.quoted, frozenset())
        if without:
            return digest_table(connection, table, columns[table.oid], without).sha256
        if table.oid in same:
            return same[table.oid].sha256
        if table.oid not in digests:
            digests[table.oid] = digest_table(connection, table, columns[table.oid])
        return digests[table.oid].sha256

    if large_objects.OID not in digests:
        digests[large_objects.OID] = large_objects.digest_large_objects(connection)
    counted: tuple[Table | ConfigurationTable, ...] = (*tables, *configuration)
    rows = {table.quoted: digest(table) for table in counted}
    if digests[large_objects.OID].rows:
        rows[large_objects.NAME] = digests[large_objects.OID].sha256
    fingerprint = Fingerprint(
        tables=rows,
        catalogue=catalogue_digest(tables, columns),
        schema=_names_digest([digest(migrations) if migrations else "", *(table.quoted for table in everything)]),
        whole=whole,
    )
    return fingerprint, digests


def _names_digest(names: Iterable[str]) -> str:
    import hashlib

    from ..postgres.digest import framed

    return hashlib.sha256(framed(names)).hexdigest()
