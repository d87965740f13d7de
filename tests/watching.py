"""The row-version check beside the hash: at each look, both in one snapshot."""

from __future__ import annotations

from collections.abc import Callable

from checkniner_backups.backup.fingerprint import FingerprintReader
from checkniner_backups.postgres.dsn import Dsn, parse_url
from checkniner_backups.postgres.snapshot import Snapshot, exported_snapshot, reader_of
from checkniner_backups.state.last_backup import LastBackup


def nothing() -> None:
    """Do nothing."""


class Watch:
    """What a tick remembers of some tables, and what a later one finds.

    :param tables: names as Django has them; none stands for all tables
    """

    def __init__(self, url: str, *tables: str) -> None:
        self.dsn: Dsn = parse_url(url)
        self.tables = tables
        self.last: LastBackup | None = None

    def remember(self, meanwhile: Callable[[], object] = nothing) -> None:
        """Hash, and remember: nothing was known before.

        :param meanwhile: is called when the snapshot has been taken, and nothing has been read yet
        """
        self.last = None
        self.look(meanwhile, remember=True)

    def look(self, meanwhile: Callable[[], object] = nothing, *, remember: bool = False) -> set[str]:
        """Return the names of the tables whose digest came from memory. Each is the digest of the rows now, or this
        fails."""
        with exported_snapshot(self.dsn, 5) as snapshot:
            meanwhile()
            with reader_of(snapshot) as connection:
                names = self.tables or tuple(table.full_name for table in snapshot.tables)
                cheap, truth = (
                    FingerprintReader(snapshot, names, "django_migrations", {}, {}, last=last)
                    for last in (self.last, None)
                )
                cheap.work(connection)
                truth.work(connection)
                assert cheap.fingerprint == truth.fingerprint, "the row versions said that nothing has changed"
                if remember:
                    self.last = memory(snapshot, names, cheap)
                compared = [table for table in snapshot.tables if table.quoted in cheap.fingerprint.tables]
                return {table.name for table in compared if table.oid not in cheap.digests}


def memory(snapshot: Snapshot, names: tuple[str, ...], taken: FingerprintReader) -> LastBackup:
    """Return what a tick would remember."""
    return LastBackup(
        key="db/x", size=1, sha256="", at=0, archive_settings="", database_id="", snapshot_token=snapshot.token,
        business_tables=names, ignored={}, fingerprint=taken.fingerprint, fixtures={}, full_check_at=0,
        seen_in_store_at=0, django="", row_versions=taken.row_versions,
    )  # fmt: skip
