"""Row counts and digests of tables, the same on every server that holds the same rows.

SHA-256 over `COPY ... TO STDOUT` in text form, ordered by primary key, under the fixed settings of snapshot.py. Text
keys are ordered by COLLATE "C", because a server's own collation changes with its C library. Text, not binary: the
binary form holds type OIDs (in arrays of enums, say), which differ from database to database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .copying import copy_out
from .extensions import ConfigurationTable
from .session import fetch_all
from .snapshot import Table

if TYPE_CHECKING:
    from .session import Connection

_COLUMNS = """
SELECT a.attrelid::bigint, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attcollation <> 0,
       coalesce((SELECT pg_catalog.array_position(i.indkey::int2[], a.attnum)
                 FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary), -1)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""


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
    order = [sql.SQL('{} COLLATE "C"' if collatable else "{}").format(name) for name, collatable in terms]
    if not order:
        order = [sql.SQL('{}::text COLLATE "C"').format(sql.Identifier("whole"))]
    query = sql.SQL("COPY (SELECT {} FROM ONLY {} AS whole {} ORDER BY {}) TO STDOUT").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in kept),
        sql.Identifier(table.schema, table.name),
        sql.SQL(table.condition if isinstance(table, ConfigurationTable) else ""),
        sql.SQL(", ").join(order),
    )
    digest = hashlib.sha256(framed(column.name for column in kept))
    rows = copy_out(connection, query, digest.update)
    return TableDigest(rows, digest.hexdigest())


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
