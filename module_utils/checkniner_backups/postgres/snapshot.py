"""One instant: lock every table, then export one snapshot, then let others read from it.

The order matters. A snapshot alone does not protect from `TRUNCATE` or a rewriting `ALTER TABLE`: their new, empty or
rewritten files are what an old snapshot then finds, and `pg_dump` exits 0 with no rows. So the locks (ACCESS SHARE,
which stops nobody but such statements) come before the snapshot, and the list of tables is read again after it.
https://www.postgresql.org/docs/current/mvcc-caveats.html
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import LockTimeoutError
from .dsn import Dsn
from .extensions import ConfigurationTable, configuration_tables
from .session import CONFLICT_HINT, connect, connect_directly, fetch_all, fetch_one
from .snapshot_token import token_of
from .standby import wait_for_replay

if TYPE_CHECKING:
    from .session import Connection

# Formats that decide how COPY prints a value. Fixed, so that a digest means the same on every server.
_SETTINGS = (
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("search_path", "pg_catalog"),
    # A row that a policy hides must be an error, not a hole in the backup.
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
)

_ENDING = 1.0
"""Seconds after the end of a reader in which a standby would have ended the session that holds the snapshot."""
_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       ARRAY(SELECT i.inhrelid::bigint FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid ORDER BY 1)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""


@dataclass(frozen=True)
class Table:
    """A table that `pg_dump` reads; `quoted` is its name ready for a statement.

    :param children: OIDs of its partitions, or of the tables that inherit from it
    """

    oid: int
    schema: str
    name: str
    kind: str
    quoted: str
    children: tuple[int, ...] = ()

    @property
    def full_name(self) -> str:
        """The name with its schema, as `Snapshot.find` takes it."""
        return f'{self.schema}"."{self.name}'

    @property
    def has_rows(self) -> bool:
        """Whether rows are stored in it: a partitioned table's rows are in its partitions."""
        return self.kind == "r"


@dataclass
class Snapshot:
    """A transaction that holds the locks and the exported snapshot.

    :param search_path: schemas in which a table that is named without one is looked for: ours, until the application
        has told its own, which may stand in its settings
    :param configuration: extensions' tables whose rows `pg_dump` reads
    """

    connection: Connection
    dsn: Dsn
    name: str
    token: str
    tables: tuple[Table, ...]
    search_path: tuple[str, ...]
    lock_timeout: float
    configuration: tuple[ConfigurationTable, ...] = ()
    waited_since: float | None = None
    """Monotonic time since when somebody waits for our locks, as far as was seen."""

    def find(self, name: str) -> Table | None:
        """Given a table's name as Django has it, return the table that it means, or None.

        Django writes `"name"`, found by the search path; some people's `db_table` has the quotes already, or is
        `schema"."name`.
        """
        schema, separator, bare = name.strip('"').partition('"."')
        wanted = [(schema, bare)] if separator else [(each, schema) for each in self.search_path]
        return next((self._by_name[each] for each in wanted if each in self._by_name), None)

    def full_name(self, name: str) -> str:
        """Given a table's name as Django has it, return the one that `find` takes whatever the search path is.

        Where there is no such table, it is as it was.
        """
        table = self.find(name)
        return table.full_name if table else name

    def in_every_schema(self, name: str) -> tuple[Table, ...]:
        """Given a table's name as Django has it, return the tables of that name in all schemas: each may be a tenant's.

        A name with a schema means that one alone.
        """
        if '"."' in name.strip('"'):
            table = self.find(name)
            return (table,) if table else ()
        return self._by_bare_name.get(name.strip('"'), ())

    def family(self, table: Table) -> tuple[tuple[Table, ...], bool]:
        """Given a table, return those that hold the rows a SELECT from it shows, and whether these are all.

        Not all: a partition may be a foreign table, or a child a temporary one.
        """
        found, complete, left = {}, True, [table]
        while left:
            each = left.pop()
            if each.has_rows:
                found[each.oid] = each
            left += [self._by_oid[oid] for oid in each.children if oid in self._by_oid and oid not in found]
            complete = complete and self._by_oid.keys() >= set(each.children)
        return tuple(found.values()), complete

    @property
    def on_standby(self) -> bool:
        """Whether the server is a standby: only there, a snapshot has no token."""
        return not self.token

    def check_held(self, why: str) -> None:
        """Given why a reader has failed, return unless it is because a standby has ended this session, and with it the
        snapshot.

        :raises LockTimeoutError: so it is: try again from a new snapshot
        """
        import psycopg

        # A standby ends those who stand in its way one after the other.
        until = time.monotonic() + _ENDING
        while self.on_standby and time.monotonic() < until:
            try:
                self.connection.execute("SELECT 1")
            except psycopg.Error:
                raise LockTimeoutError(f"{self.dsn}: the snapshot is lost: {why}", CONFLICT_HINT) from None
            time.sleep(0.1)

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Table]:
        return {(table.schema, table.name): table for table in self.tables}

    @cached_property
    def _by_bare_name(self) -> dict[str, tuple[Table, ...]]:
        found: dict[str, tuple[Table, ...]] = {}
        for table in self.tables:
            found[table.name] = (*found.get(table.name, ()), table)
        return found

    @cached_property
    def _by_oid(self) -> dict[int, Table]:
        return {table.oid: table for table in self.tables}

    def waiting(self) -> bool:
        """Return whether another session waits for one of our locks: a migration, and behind it the application."""
        query = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid)))"
        return bool(fetch_one(self.connection, query, self.connection.info.backend_pid)[0])


@contextmanager
def exported_snapshot(dsn: Dsn, lock_timeout: float) -> Iterator[Snapshot]:
    """Given a database, yield one snapshot with every table locked; all is let go at the end.

    :param lock_timeout: seconds to wait for a lock
    :raises LockTimeoutError: a lock was not to be had, or tables came or went between; try again
    :raises SettingsError: a pooler is between
    :raises DatabaseError: a table that may not be read, or the server; a standby that does not follow its primary
    """
    with connect_directly(dsn) as connection:
        wait_for_replay(connection)
        search_path = tuple(fetch_one(connection, "SELECT pg_catalog.current_schemas(false)")[0])
        before, configuration = list_tables(connection), configuration_tables(connection)
        _begin(connection, lock_timeout)
        _lock(connection, (*before, *configuration))
        snapshot = fetch_one(connection, "SELECT pg_catalog.pg_export_snapshot()")[0]
        tables = list_tables(connection)
        if tables != before or configuration_tables(connection) != configuration:
            raise LockTimeoutError(f"{dsn}: tables came or went while they were being locked", "a migration is running")
        yield Snapshot(
            connection, dsn, snapshot, token_of(connection), tables, search_path, lock_timeout, configuration
        )
        connection.execute("ROLLBACK")


@contextmanager
def reader_of(snapshot: Snapshot, connected: Callable[[Connection], object] = lambda _: None) -> Iterator[Connection]:
    """Given a snapshot, yield another connection that sees exactly the same, with its own locks on every table.

    Its own, and all at the start: behind a migration that waits for the first session's locks, a reader that asked
    for one later would wait as well, and PostgreSQL would see no deadlock, for the first session only idles.

    :param connected: is given the connection as soon as there is one
    :raises LockTimeoutError: a lock was not to be had
    """
    from psycopg import sql

    with connect(snapshot.dsn) as connection:
        connected(connection)
        _begin(connection, snapshot.lock_timeout)
        connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot.name)))
        _lock(connection, (*snapshot.tables, *snapshot.configuration))
        yield connection
        connection.execute("ROLLBACK")


@contextmanager
def plain_reader(dsn: Dsn) -> Iterator[tuple[Connection, tuple[Table, ...]]]:
    """Given a database that nobody else changes, yield a connection with the settings of a digest, and its tables."""
    with connect(dsn) as connection:
        _begin(connection, 0)
        yield connection, list_tables(connection)
        connection.execute("ROLLBACK")


def _begin(connection: Connection, lock_timeout: float) -> None:
    """Begin a transaction. Its settings end with it; and SET, unlike set_config(), takes no snapshot."""
    from psycopg import sql

    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    for name, value in (*_SETTINGS, ("lock_timeout", str(int(lock_timeout * 1000)))):
        connection.execute(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value)))


def _lock(connection: Connection, tables: Sequence[Table | ConfigurationTable]) -> None:
    # LOCK TABLE takes no snapshot: one that is exported after it is taken after the last lock is ours. ONLY, because
    # children are in the list themselves.
    if tables:
        names = ", ".join("ONLY " + table.quoted for table in tables)
        connection.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE".encode())


def list_tables(connection: Connection) -> tuple[Table, ...]:
    """Return the tables that `pg_dump` would read, by schema and name."""
    found = fetch_all(connection, _TABLES)
    return tuple(Table(oid, schema, name, kind, quoted, tuple(more)) for oid, schema, name, kind, quoted, more in found)


class LockWaitLimit:
    """How long somebody may be made to wait for our locks."""

    def __init__(self, snapshot: Snapshot, limit: float) -> None:
        """:param limit: seconds"""
        self._snapshot = snapshot
        self._limit = limit

    @property
    def connection(self) -> Connection:
        """The connection that asks, which holds the snapshot and its locks."""
        return self._snapshot.connection

    def check_held(self, why: str) -> None:
        """As `Snapshot.check_held`."""
        self._snapshot.check_held(why)

    def check(self) -> None:
        """Check whether somebody waits for us; call it every now and then while others read.

        :raises LockTimeoutError: somebody has waited for longer than the limit
        """
        if not self._snapshot.waiting():
            self._snapshot.waited_since = None
            return
        now = time.monotonic()
        self._snapshot.waited_since = self._snapshot.waited_since or now
        if now - self._snapshot.waited_since >= self._limit:
            raise LockTimeoutError(
                f"a session has waited {self._limit:.0f} s for tables that are being backed up; they are let go",
                "a migration is running; the backup is tried again",
            )
