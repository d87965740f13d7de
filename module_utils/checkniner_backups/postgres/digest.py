"""Row counts and digests of tables, the same on every server that holds the same rows.

SHA-256 over `COPY ... TO STDOUT` in text form, ordered by primary key, under the fixed settings of snapshot.py. Text
keys are ordered by COLLATE "C", because a server's own collation changes with its C library. Text, not binary: the
binary form holds type OIDs (in arrays of enums, say), which differ from database to database.

The planner looks at the expressions of a table's indexes, of its extended statistics and of its virtual columns, and
into the SQL functions that they call. Where such a function names something without its schema, the query cannot be
planned with `pg_catalog` as the only schema, though `pg_dump` can dump the table (it plans no query for that). Such a
table is read with the session's own search path, or else with every schema of the database in it. That is sound
because each name in our query says its schema: the path has no part in what is read, or in its order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .copying import copy_out
from .extensions import ConfigurationTable
from .session import fetch_all, is_name_not_found
from .snapshot import Table

if TYPE_CHECKING:
    from typing import LiteralString  # new in Python 3.11

    from psycopg.sql import Composed

    from .session import Connection

_COLUMNS = """
SELECT a.attrelid::bigint, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation <> 0,
       coalesce((SELECT pg_catalog.array_position(i.indkey::int2[], a.attnum)
                 FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary), -1)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# The session's own path is what it was before snapshot.py set ours. A name that is found only in the last of these is
# in some function's own `SET search_path`, or in the path of another role or of the application's settings.
_PATHS: tuple[LiteralString, ...] = (
    "",
    "SELECT pg_catalog.set_config('search_path', reset_val, true) FROM pg_catalog.pg_settings"
    " WHERE name = 'search_path'",
    "SELECT pg_catalog.set_config('search_path', pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ', '"
    " ORDER BY nspname = 'public' DESC, nspname), true) FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_'",
)


@dataclass(frozen=True)
class Column:
    """A column; `key` is its place in the primary key, or -1."""

    name: str
    type: str
    collatable: bool
    key: int


@dataclass(frozen=True)
class TableDigest:
    """How many rows a table holds, and the SHA-256 (hex) of their content."""

    rows: int
    sha256: str


def columns_of(connection: Connection, tables: Iterable[Table | ConfigurationTable]) -> dict[int, tuple[Column, ...]]:
    """Given tables, return the columns of each in order, by the table's OID."""
    found: dict[int, list[Column]] = {table.oid: [] for table in tables}
    for oid, *column in fetch_all(connection, _COLUMNS, list(found)):
        found[oid].append(Column(*column))
    return {oid: tuple(columns) for oid, columns in found.items()}


def digest_table(
    connection: Connection,
    table: Table | ConfigurationTable,
    columns: tuple[Column, ...],
    without: Collection[str] = (),
) -> TableDigest:
    """Given a table and its columns, return its row count and digest as this transaction sees it.

    Of an extension's configuration table, these are of the rows that `pg_dump` dumps.

    :param without: names of columns to leave out
    """
    from psycopg import sql

    kept = [column for column in columns if column.name not in without]
    keys = sorted((column for column in columns if column.key >= 0), key=lambda column: column.key)
    terms = [(sql.Identifier(key.name), key.collatable) for key in keys]
    order = [sql.SQL('{} COLLATE pg_catalog."C"' if collatable else "{}").format(name) for name, collatable in terms]
    if not order:
        order = [sql.SQL('{}::pg_catalog.text COLLATE pg_catalog."C"').format(sql.Identifier("whole"))]
    query = sql.SQL("COPY (SELECT {} FROM ONLY {} AS whole {} ORDER BY {}) TO STDOUT").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in kept),
        sql.Identifier(table.schema, table.name),
        sql.SQL(table.condition if isinstance(table, ConfigurationTable) else ""),
        sql.SQL(", ").join(order),
    )
    for path in _PATHS:
        digest = hashlib.sha256(framed(column.name for column in kept))
        rows = _copied(connection, query, path, digest.update)
        if rows is not None:
            return TableDigest(rows, digest.hexdigest())
    digest = hashlib.sha256(framed(column.name for column in kept))
    return TableDigest(copy_out(connection, query, digest.update), digest.hexdigest())


def _copied(
    connection: Connection, query: Composed, path: LiteralString, take: Callable[[bytes], object]
) -> int | None:
    """Given a COPY and a statement that sets a search path (may be empty), hand on the rows and return their number.

    Return None where a name was not found. The transaction is as it was before.
    """
    import psycopg

    rows: int | None
    connection.execute("SAVEPOINT digest")
    try:
        if path:
            connection.execute(path)
        rows = copy_out(connection, query, take)
    except psycopg.Error as error:
        if not is_name_not_found(error.sqlstate):
            raise
        rows = None
    # The path goes with it, too.
    connection.execute("ROLLBACK TO SAVEPOINT digest; RELEASE SAVEPOINT digest")
    return rows


def catalogue_digest(tables: Iterable[Table], columns: Mapping[int, tuple[Column, ...]]) -> str:
    """Given tables and their columns, return a digest (hex) of their names and types in order."""
    parts = []
    for table in tables:
        parts += [table.schema, table.name, str(len(columns[table.oid]))]
        parts += [text for column in columns[table.oid] for text in (column.name, column.type)]
    return hashlib.sha256(framed(parts)).hexdigest()


def framed(parts: Iterable[str]) -> bytes:
    """Given texts, return bytes that no other list of texts gives: JSON quotes what would be ambiguous."""
    return json.dumps(list(parts)).encode()
