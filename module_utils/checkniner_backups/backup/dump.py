"""The dataset: SQL, fixtures, row counts and digests of one snapshot, read concurrently, and checked in the end.

Three readers, each with its own locks and the same snapshot: `pg_dump`, the application's own Django (fixtures), and a
connection that hashes rows. Each writes while it reads, compressed, into one folder, so the disk needs room for the
compressed data only. Meanwhile the session that exported the snapshot watches whether somebody waits for our locks.

Before a dataset counts, its three parts must agree: as many rows of a table in the SQL as were hashed, as many objects
of a model in the fixture as rows in its table. An empty or half-read part cannot pass for a backup.
"""

from __future__ import annotations

import logging
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..archive.manifest import Manifest, Member, fixture_name
from ..archive.writer import MemberWriter
from ..errors import DatabaseError, LockTimeoutError
from ..postgres import large_objects
from ..postgres.digest import TableDigest, columns_of, digest_table
from ..postgres.metadata import database_metadata, sequence_metadata, table_metadata
from ..postgres.programs import dump_program, start
from ..postgres.session import CONFLICT_HINT, reading_hint, server_major
from ..postgres.snapshot import LockWaitLimit, Snapshot
from ..system.pipes import widen
from ..system.processes import Listener, kill_group
from .agreement import check_agreement
from .copy_rows import RowCounter
from .readers import Reader, RowReader, run_concurrently

if TYPE_CHECKING:
    from datetime import datetime

    from ..django_app.process import FixturesProcess
    from ..django_app.registry import FixturesReport
    from ..postgres.extensions import ConfigurationTable
    from ..postgres.session import Connection
    from ..postgres.snapshot import Table

log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_NEARLY = 0.9
"""What part of a time limit passes for all of it: two clocks measure it."""
_UNSAFE = re.compile(r"[^\w.-]")


@dataclass(frozen=True)
class Dataset:
    """What one snapshot held. `tables` and `fixtures` are as they stand in the manifest.

    :param digests: of whole tables, by OID
    """

    members: tuple[Member, ...]
    database: dict[str, Any]
    tables: list[dict[str, Any]]
    sequences: list[dict[str, Any]]
    fixtures: FixturesReport | None
    digests: dict[int, TableDigest]
    extension_tables: list[dict[str, Any]]

    @property
    def large_objects(self) -> dict[str, Any]:
        """As they stand in the manifest."""
        return large_objects.for_manifest(self.digests[large_objects.OID])

    def manifest(self, application: str, created: datetime) -> Manifest:
        """Given the application's name and the time of the snapshot (UTC), return the manifest."""
        return Manifest(
            application=application,
            created=created,
            members=self.members,
            database=self.database,
            tables=self.tables,
            sequences=self.sequences,
            large_objects=self.large_objects,
            extension_tables=self.extension_tables,
            fixtures=self.fixtures.for_manifest() if self.fixtures else {},
        )


def sql_member_name(database: str) -> str:
    """Given a database's name, return the name of its SQL member: what a file name cannot hold becomes `_`."""
    return f"{_UNSAFE.sub('_', database).lstrip('.-') or '_'}.sql"


def dump(
    snapshot: Snapshot,
    process: FixturesProcess | None,
    folder: Path,
    migration_wait: float,
    known: Mapping[int, TableDigest],
    *,
    before_fixtures: Callable[[], object] = lambda: None,
) -> Dataset:
    """Given a snapshot and the application's process, write all members into the folder and return what they are.

    :param process: None for SQL alone, where the application may be unable to read its own tables

    :param migration_wait: seconds that somebody may be made to wait for our locks
    :param known: digests of whole tables, by OID, already taken in this snapshot
    :param before_fixtures: is called when the other readers run: Django may need time to start
    :raises LockTimeoutError: a lock was not to be had, or somebody waited too long: try again from a new snapshot
    :raises DatabaseError: a reader failed, or the parts disagree
    """
    database = database_metadata(snapshot.connection)
    sequences = sequence_metadata(snapshot.connection)
    program = dump_program(server_major(snapshot.connection))
    sql = _Sql(program, snapshot, folder / sql_member_name(database["name"]))
    rows = _Rows(snapshot, known)
    fixtures = _Fixtures(process, snapshot, folder, before_fixtures) if process else None
    run_concurrently([reader for reader in (sql, fixtures, rows) if reader], LockWaitLimit(snapshot, migration_wait))
    members = (sql.member, *(fixtures.members if fixtures else ()))
    tables = table_metadata(snapshot.connection, snapshot.tables, rows.digests)
    report = fixtures.report if fixtures else None
    if report and report.search_path:
        snapshot.search_path = report.search_path
    # The application's own: functions that name something without its schema may need it in a restore.
    database["schema_sha256"] = sql.schema_sha256
    database["search_path"] = list(snapshot.search_path)
    for warning in report.warnings if report else ():
        log.warning("fixtures: %s", warning)
    check_agreement(snapshot, rows.digests, sql.rows, process.registry if process else None, report)
    configuration = [
        {"extension": table.extension, "schema": table.schema, "name": table.name, **vars(rows.digests[table.oid])}
        for table in snapshot.configuration
    ]
    # An administrator who prepares a new database knows the database's metadata alone.
    database["extension_rows"] = [[each["schema"], each["name"], each["rows"]] for each in configuration]
    return Dataset(members, database, tables, sequences, report, rows.digests, configuration)


class _Sql(Reader):
    """`pg_dump`, from its pipe into a compressed member, counting the rows of each table on the way."""

    def __init__(self, program: Path, snapshot: Snapshot, path: Path) -> None:
        self._command = [
            str(program),
            "--no-password",
            "--format=plain",
            "--encoding=UTF8",
            f"--snapshot={snapshot.name}",
            f"--lock-wait-timeout={int(snapshot.lock_timeout * 1000)}",
        ]
        self._snapshot = snapshot
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()
        self.member: Member
        self.rows: dict[str, int] = {}
        self.schema_sha256 = ""
        self._began = 0.0

    def read(self) -> None:
        counter = RowCounter()
        self._began = time.monotonic()
        with start(
            self._command,
            env=self._snapshot.dsn.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that a kill reaches what it starts: it may be a wrapper
        ) as self._process:
            if self._stopped.is_set():
                self._kill()
            assert self._process.stdout  # noqa: S101 - for the type checker: it is a pipe
            widen(self._process.stdout)
            said = Listener(self._process.stderr)
            writer = MemberWriter(self._path)
            try:
                while chunk := self._process.stdout.read(_CHUNK):
                    writer.write(chunk)
                    counter.feed(chunk)
                    self.moved += len(chunk)
            except BaseException:
                self._kill()
                writer.abort()
                raise
            self.member = writer.close()
        self.rows, self.schema_sha256 = counter.rows, counter.schema_sha256
        self._check(said.text())

    def _check(self, noise: str) -> None:
        lines = "; ".join(line.strip() for line in noise.splitlines() if line.strip())[:500]
        if self._process and self._process.returncode != 0:
            # Its --lock-wait-timeout is a statement_timeout in truth, and it sets no other. The server's words may be
            # of any language: pg_dump takes its locks before it writes of any table, and waits for one just so long.
            waited = time.monotonic() - self._began >= self._snapshot.lock_timeout * _NEARLY and not self.rows
            english = any(words in noise for words in ("statement timeout", "lock timeout", "deadlock"))
            if english or (waited and not reading_hint(noise)):
                raise LockTimeoutError(f"pg_dump could not lock a table in time: {lines}", "a migration is running")
            if self._snapshot.on_standby and not reading_hint(noise):
                # Its SQLSTATE is not told, and its words may be of any language: a conflict with replay is tried again,
                # and what else it was fails again.
                raise LockTimeoutError(f"pg_dump failed on a standby: {lines}", CONFLICT_HINT)
            message = f"pg_dump failed with status {self._process.returncode}: {lines}"
            raise DatabaseError(message, reading_hint(noise))
        if lines:
            log.warning("pg_dump says: %s", lines)

    def stop(self) -> None:
        self._stopped.set()
        self._kill()

    def _kill(self) -> None:
        if self._process:
            kill_group(self._process)


class _KeptMember(MemberWriter):
    """A member writer that remembers what it wrote: whoever closes it is not whoever asks."""

    member: Member

    def __init__(self, path: Path, reader: Reader) -> None:
        super().__init__(path)
        self._reader = reader
        self.whole = False

    def write(self, data: bytes) -> int:
        self._reader.moved += len(data)
        return super().write(data)

    def close(self) -> Member:
        self.member = super().close()
        self.whole = True
        return self.member


class _Fixtures(Reader):
    """The application's own Django, which reads one fixture per app."""

    def __init__(
        self, process: FixturesProcess, snapshot: Snapshot, folder: Path, before: Callable[[], object]
    ) -> None:
        self._process = process
        self._before = before
        self._snapshot = snapshot
        self._folder = folder
        self._writers: list[_KeptMember] = []
        self.members: tuple[Member, ...] = ()
        self.report: FixturesReport

    def _open(self, app: str) -> MemberWriter:
        writer = _KeptMember(self._folder / fixture_name(app), self)
        self._writers.append(writer)
        return writer

    def read(self) -> None:
        self._before()
        self.report = self._process.dump(
            snapshot=self._snapshot.name,
            lock_tables=[table.quoted for table in self._snapshot.tables],
            lock_timeout=self._snapshot.lock_timeout,
            apps=None,
            open_member=self._open,
            partial=True,
        )
        self.members = tuple(writer.member for writer in self._writers if writer.whole)
        for app, reason in self.report.missing.items():
            log.error("the fixture of %s cannot be read and is missing: %s", app, reason)

    def stop(self) -> None:
        self._process.kill()


class _Rows(RowReader):
    """Counts and hashes the rows of every table."""

    def __init__(self, snapshot: Snapshot, known: Mapping[int, TableDigest]) -> None:
        super().__init__(snapshot)
        self.digests: dict[int, TableDigest] = dict(known)

    def work(self, connection: Connection) -> None:
        with_rows = [table for table in self.snapshot.tables if table.has_rows]
        tables: tuple[Table | ConfigurationTable, ...] = (*with_rows, *self.snapshot.configuration)
        columns = columns_of(connection, tables)
        for table in tables:
            if self.stopped.is_set():
                return
            if table.oid not in self.digests:
                self.digests[table.oid] = digest_table(connection, table, columns[table.oid])
                self.moved += 1
        if large_objects.OID not in self.digests:
            self.digests[large_objects.OID] = large_objects.digest_large_objects(connection)
