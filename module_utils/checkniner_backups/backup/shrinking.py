"""Business tables that have suddenly lost many rows: saved like any change, and said loudly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..state.last_backup import Candidate, LastBackup, Shrinkage
from .changes import business_tables

if TYPE_CHECKING:
    from ..postgres.digest import TableDigest
    from ..postgres.snapshot import Snapshot

FEWEST = 10
"""Rows: what a smaller table loses is told by no percentage."""


def row_counts(snapshot: Snapshot, names: Iterable[str], digests: Mapping[int, TableDigest]) -> dict[str, int]:
    """Given names of Django's tables and the digests by OID, return how many rows each of the tables holds."""
    return {table.quoted: digests[table.oid].rows for table in business_tables(snapshot, names)[0]
            if table.oid in digests}  # fmt: skip


def shrunken(
    last: LastBackup | None, rows: Mapping[str, int], now: float, percent: float, *, acknowledged: bool = False
) -> dict[str, Shrinkage]:
    """Given the last archive and the rows of the business tables now, return the tables that have shrunk, by name.

    A table stays among them until its rows are back. A table that is gone, or that is new, is a change of the schema,
    and is not among them.

    :param now: seconds since the epoch
    :param percent: of a table's rows that are gone between two archives; 0 switches this off
    :param acknowledged: a person has asked for this archive: what was known before it is forgotten
    """
    if last is None or not percent:
        return {}

    def has_shrunk(before: int, table: str) -> bool:
        return before >= FEWEST and table in rows and before - rows[table] >= before * percent / 100

    found = {
        table: Shrinkage(before, rows[table], now, last.key)
        for table, before in last.rows.items() if has_shrunk(before, table)
    }  # fmt: skip
    known = {} if acknowledged else last.shrunk
    for table, each in known.items():
        # The archive that still holds all rows counts, also where the table shrinks once more.
        if has_shrunk(each.before, table):
            at = now if table in found else each.at
            found[table] = Shrinkage(each.before, rows[table], at, each.key)
    return found


def sentences(candidate: Candidate) -> list[str]:
    """Given an archive, return a sentence on each table that has shrunk with it."""
    return [each.sentence(table) for table, each in sorted(candidate.shrunk.items()) if each.at == candidate.at]
