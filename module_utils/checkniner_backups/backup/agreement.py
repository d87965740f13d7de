"""Whether the three readers of a snapshot have seen the same: an empty or half-read part cannot pass for a backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import DatabaseError
from .copy_rows import unquoted

if TYPE_CHECKING:
    from ..django_app.registry import FixturesReport, Registry
    from ..postgres.digest import TableDigest
    from ..postgres.snapshot import Snapshot


def check_agreement(
    snapshot: Snapshot,
    digests: Mapping[int, TableDigest],
    sql_rows: Mapping[str, int],
    registry: Registry | None,
    report: FixturesReport | None,
) -> None:
    """Compare the three readers' counts.

    :raises DatabaseError: they differ, which must not be: not one instant
    """
    hint = "nothing was saved; this is a fault of ours, or of a table that hides rows: please report it"
    counted = {table.quoted: digests[table.oid].rows for table in snapshot.tables if table.has_rows}
    counted |= {table.quoted: digests[table.oid].rows for table in snapshot.configuration}
    dumped = {unquoted(name): rows for name, rows in sql_rows.items()}
    for name, rows in counted.items():
        if (found := dumped.get(unquoted(name))) != rows:
            raise DatabaseError(f"table {name} has {rows} rows, but {found} in the SQL", hint)
    for model in report.models if report else ():
        table = snapshot.find(registry.table_of(model.label)) if registry else None
        family, complete = snapshot.family(table) if table else ((), False)
        rows = sum(counted[each.quoted] for each in family)
        if table and complete and rows != model.objects:
            raise DatabaseError(f"table {table.quoted} has {rows} rows, but {model.objects} in the fixture", hint)
