"""A database saved as SQL and brought back beside itself, as a restore does it, without an application or a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
from checkniner_backups.archive.file import ArchiveFile, inspect
from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.archive.writer import pack
from checkniner_backups.backup.dump import dump
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.snapshot import exported_snapshot
from checkniner_backups.restore.databases import Change, Databases
from checkniner_backups.restore.sql import load_and_verify
from checkniner_backups.system.accounts import unprivileged
from checkniner_backups.verify.database import Verification

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database, fresh_database


@dataclass
class Round:
    """A database, and a folder for archives of it."""

    database: Database
    folder: Path
    saved: int = 0

    def by_admin(self, statement: str, database: str = "") -> list[tuple[object, ...]]:
        """Run a statement as the superuser, in this database or another."""
        return self.database.cluster.execute(statement, database=database or self.database.name)

    def save(self, url: str = "") -> ArchiveFile:
        """Save it as it is now, through this URL or the owner's; return the archive."""
        self.saved += 1
        dataset = self.folder / f"dataset{self.saved}"
        dataset.mkdir(mode=0o700)
        with exported_snapshot(parse_url(url or self.database.url), 5) as snapshot:
            made = dump(snapshot, None, dataset, 5, {})
        manifest = made.manifest("checkniner", datetime.now(timezone.utc))
        return ArchiveFile(pack(dataset, manifest, self.folder / f"{self.saved}.tar.gz", None, []).path)

    @property
    def databases(self) -> Databases:
        """As the administrator."""
        database = self.database
        return Databases(parse_url(database.cluster.admin_url()), database.name, database.user)

    def create(self, archive: ArchiveFile, *allowed: str) -> str:
        """Create a new database for an archive and return its name."""
        return self.databases.create(self.database.user, inspect(archive).database, allowed).database

    def load(self, archive: ArchiveFile, name: str, url: str = "") -> Verification:
        """Load an archive into a new database as its owner, and compare."""
        dsn = parse_url(url or self.database.url).to(name)
        return load_and_verify(dsn, archive, account=unprivileged(None), live=self.database.name)

    def swap(self, archive: ArchiveFile, name: str) -> Change:
        """Make it the live one."""
        return self.databases.swap(name, inspect(archive).database)

    def restore(self, archive: ArchiveFile, *allowed: str) -> Verification:
        """Bring an archive back, in the live database's place."""
        name = self.create(archive, *allowed)
        proof = self.load(archive, name)
        self.swap(archive, name)
        return proof


def manifest_of(archive: ArchiveFile) -> Manifest:
    """Given an archive, return its manifest."""
    manifest = inspect(archive).manifest
    assert manifest
    return manifest


@contextmanager
def round_in(cluster: Cluster, folder: Path) -> Iterator[Round]:
    """Given a cluster, yield a fresh database in it."""
    with fresh_database(cluster) as database:
        yield Round(database, folder)


@pytest.fixture
def saved_and_restored(cluster: Cluster, tmp_path: Path) -> Iterator[Round]:
    """A fresh database that can be saved and brought back."""
    with round_in(cluster, tmp_path) as made:
        yield made
