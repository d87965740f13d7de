"""The cheap checks beside the truth, on a cluster that a test may crash.

At each look, verdict and truth are of the same instant: the truth is a digest by other means, in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from checkniner_backups.backup import changes
from checkniner_backups.backup.fingerprint import FingerprintReader
from checkniner_backups.postgres.dsn import Dsn
from checkniner_backups.postgres.snapshot import exported_snapshot
from checkniner_backups.postgres.snapshot_token import token_of
from checkniner_backups.state.last_backup import LastBackup

from sandbox.postgres import Cluster

TABLES = ("thing", "thing_link", "other")
SCHEMA = """
CREATE TABLE thing (id serial PRIMARY KEY, name text, amount numeric(9, 2), seen timestamptz DEFAULT now());
CREATE TABLE thing_link (id serial PRIMARY KEY, a int, b int);
CREATE TABLE other (name text COLLATE "C" PRIMARY KEY, data bytea);
CREATE TABLE noise (id serial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text, applied timestamptz DEFAULT now());
INSERT INTO thing (name, amount) SELECT 'thing ' || n, n FROM generate_series(1, 40) n;
INSERT INTO other SELECT 'key ' || n, decode(md5(n::text), 'hex') FROM generate_series(1, 20) n;
"""
TRUTH = """
SELECT md5(concat_ws('|',
  (SELECT string_agg(row(id, name, amount, extract(epoch FROM seen))::text, ';' ORDER BY id) FROM public.thing),
  (SELECT string_agg(row(id, a, b)::text, ';' ORDER BY id) FROM public.thing_link),
  (SELECT string_agg(row(name, data)::text, ';' ORDER BY name) FROM public.other),
  (SELECT string_agg(row(attname, atttypid)::text, ';' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 'public.thing_link'::regclass AND attnum > 0)))
"""  # a column's type too: over an empty table, a migration is all that there is to see


@dataclass
class Observer:
    """Decides as ticks do, by the snapshot and the rows, and compares each verdict with the truth."""

    dsn: Dsn
    saved: LastBackup | None = None
    truth: str = ""
    seen: Counter[str] = field(default_factory=Counter)

    def look(self) -> None:
        """Look once."""
        with psycopg.connect(self.dsn.url(), autocommit=True) as connection:
            self.look_cheaply(connection)

    def look_cheaply(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """The snapshot check; where it does not settle it, the check of the rows."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Or a TRUNCATE between the token and the truth would make the truth lie: it empties a table under a snapshot.
        connection.execute("LOCK TABLE thing, thing_link, other IN ACCESS SHARE MODE")
        verdict = changes.by_token(self.saved, token_of(connection)) if self.saved else None
        if verdict:
            ((truth,),) = connection.execute(TRUTH).fetchall()
            assert truth == self.truth, "the token said unchanged"
            self.seen["token"] += 1
        connection.execute("ROLLBACK")
        if not verdict:
            self.look_at_rows()

    def look_at_rows(self) -> None:
        """The check of the rows; what differs counts as saved."""
        with exported_snapshot(self.dsn, 5) as snapshot:
            ((truth,),) = snapshot.connection.execute(TRUTH).fetchall()
            tables, whole = changes.business_tables(snapshot, TABLES)
            now, _ = changes.take_fingerprint(
                snapshot.connection,
                tables,
                migrations=snapshot.find(changes.MIGRATIONS_TABLE),
                everything=snapshot.tables,
                ignored={},
                whole=whole,
            )
            cheap = FingerprintReader(snapshot, TABLES, changes.MIGRATIONS_TABLE, {}, {}, last=self.saved)
            cheap.work(snapshot.connection)
            assert cheap.fingerprint == now, "the row versions and the rows' digest disagree"
            self.seen["versions"] += len(tables) - len({table.oid for table in tables} & cheap.digests.keys())
            unchanged = self.saved is not None and changes.by_rows(self.saved, now) is not None
            assert unchanged == (truth == self.truth), "the rows' digest and the truth disagree"
            self.seen["rows" if unchanged else "changed"] += 1
            self.truth = str(truth)
            self.saved = LastBackup(
                key="db/x", size=1, sha256="", at=0, archive_settings="", database_id="", snapshot_token=snapshot.token,
                business_tables=TABLES, ignored={}, fingerprint=now, fixtures={}, full_check_at=0, seen_in_store_at=0,
                django="", row_versions=cheap.row_versions,
            )  # fmt: skip


@pytest.fixture
def crashing() -> Iterator[Cluster]:
    """A cluster that a test may crash, whose asynchronous commits stay unwritten for long.

    Without statistics: what they hint at must not be what finds a change in the rows.
    """
    settings = {"wal_writer_delay": "10s", "fsync": "on", "full_page_writes": "on", "track_counts": "off"}
    with Cluster(settings=settings) as cluster:
        for statement in ("CREATE ROLE writer SUPERUSER LOGIN PASSWORD 'writer'", "CREATE DATABASE history"):
            cluster.execute(statement)
        with psycopg.connect(cluster.url("history", "writer", "writer")) as connection:
            connection.execute(SCHEMA)
        yield cluster
