"""The fingerprint of the business data, read beside others: over a connection of its own, in the same snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..postgres import large_objects, row_versions
from ..postgres.digest import TableDigest
from ..state.last_backup import Fingerprint, LastBackup, RowVersions
from . import changes
from .readers import RowReader

if TYPE_CHECKING:
    from ..postgres.session import Connection
    from ..postgres.snapshot import Snapshot, Table


class FingerprintReader(RowReader):
    """Takes the fingerprint of the business data.

    :param known: digests of whole tables, by OID, that were already taken in this snapshot
    :param last: where a table holds the row versions that are remembered here, its digest is taken from here too, and
        is not among `digests`: a dump takes those over, and must not take what was not read in this snapshot
    """

    def __init__(
        self,
        snapshot: Snapshot,
        names: Sequence[str],
        migrations: str,
        ignored: Mapping[str, Iterable[str]],
        known: Mapping[int, TableDigest],
        *,
        last: LastBackup | None = None,
    ) -> None:
        super().__init__(snapshot)
        self._tables, self._whole = changes.business_tables(snapshot, names)
        self._migrations = snapshot.find(migrations)
        self._ignored = {name: frozenset(columns) for name, columns in ignored.items()}
        self.digests = dict(known)
        self._last = last
        self.fingerprint: Fingerprint
        self.row_versions: RowVersions

    @property
    def all_known(self) -> bool:
        """Whether no row has to be read."""
        wanted = {table.oid for table in (*self._tables, *self.snapshot.configuration, self._migrations) if table}
        wanted.add(large_objects.OID)
        return not self._ignored and wanted <= self.digests.keys()

    def work(self, connection: Connection) -> None:
        compared = [table for table in self._tables if table.quoted not in self._ignored]
        shapes = row_versions.shapes_of(connection, compared)
        same = self._same(connection, compared, shapes)
        self.fingerprint, self.digests = changes.take_fingerprint(
            connection,
            self._tables,
            migrations=self._migrations,
            everything=self.snapshot.tables,
            ignored=self._ignored,
            configuration=self.snapshot.configuration,
            known=self.digests,
            same=same,
            whole=self._whole,
        )
        self.row_versions = row_versions.remember(self.snapshot.token, compared, shapes, {**same, **self.digests})

    def _same(
        self, connection: Connection, tables: Sequence[Table], shapes: Mapping[int, row_versions.Shape]
    ) -> dict[int, TableDigest]:
        """Return the digests that are remembered of the tables that hold the row versions remembered, by OID."""
        if self._last is None:
            return {}
        rows, digests = self._last.row_versions.rows, self._last.fingerprint.tables
        same = row_versions.unchanged(connection, self.snapshot.token, self._last.row_versions, tables, shapes)
        return {table.oid: TableDigest(rows[table.quoted], digests[table.quoted]) for table in same}
