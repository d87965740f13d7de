"""The fingerprint of the business data, read beside others: over a connection of its own, in the same snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..last_backup import Fingerprint
from ..postgres import large_objects
from ..postgres.digest import TableDigest
from . import changes
from .readers import RowReader

if TYPE_CHECKING:
    from ..postgres.session import Connection
    from ..postgres.snapshot import Snapshot


class FingerprintReader(RowReader):
    """Takes the fingerprint of the business data."""

    def __init__(
        self,
        snapshot: Snapshot,
        names: Sequence[str],
        migrations: str,
        ignored: Mapping[str, Iterable[str]],
        known: Mapping[int, TableDigest],
    ) -> None:
        super().__init__(snapshot)
        self._tables, self._whole = changes.business_tables(snapshot, names)
        self._migrations = snapshot.find(migrations)
        self._ignored = {name: frozenset(columns) for name, columns in ignored.items()}
        self.digests = dict(known)
        self.fingerprint: Fingerprint

    @property
    def all_known(self) -> bool:
        """Whether no row has to be read."""
        wanted = {table.oid for table in (*self._tables, *self.snapshot.configuration, self._migrations) if table}
        wanted.add(large_objects.OID)
        return not self._ignored and wanted <= self.digests.keys()

    def work(self, connection: Connection) -> None:
        self.fingerprint, self.digests = changes.take_fingerprint(
            connection,
            self._tables,
            migrations=self._migrations,
            everything=self.snapshot.tables,
            ignored=self._ignored,
            configuration=self.snapshot.configuration,
            known=self.digests,
            whole=self._whole,
        )
