"""Whether a table holds exactly the rows of an earlier snapshot, without reading what is in them.

PostgreSQL changes no row in place: a write makes a new row version, whose system column `xmin` is the id of the
transaction that made it. Let S0 be the snapshot in which a table's digest was taken, X the xmin that
`pg_current_snapshot()` prints for S0, and S1 the snapshot now. The digest in S1 is the one in S0 if all of these hold:

1. S0 and S1 are of one run of one server, a primary in both: the snapshot tokens say so.
2. The count of the visible versions and the table's shape were read in S0 itself, and now in S1. Every table is locked
   before a snapshot is taken, so nothing empties or rewrites a table between a snapshot and what is read in it.
3. The table of this name has the same OID. Partitions and inheritance children are tables of their own here.
4. The columns have the same numbers, names, types, modifiers, and values for rows that are older than the column; none
   is virtual; the primary key, which orders the digest, has the same columns; the rows are in a heap.
5. The text of each column's type, below domains and arrays, depends on the stored value alone: it is in `_TYPES`.
6. As many versions are visible as in S0, and the xmin of none is X or later.
7. Fewer than 2^31 transaction ids were handed out from X to S1.

Proof. Let v be a version that is visible in S1, made by the transaction x. S1 sees x, so x precedes the xmax of S1;
were x at or after X, then by 7 the xmin of v, which is x modulo 2^32, would lie in the 2^31 numbers from X on, whether
or not the numbers have wrapped. By 6 it does not. So x precedes X, and S0 takes whatever precedes X for ended (a
subtransaction has a later id than its parent; a prepared transaction is not ended). x has committed, for S1 sees v: S0
saw v made. Who deleted v, if anyone, is not seen by S1, and so was not by S0, which is earlier. So v is visible in S0:
what S1 shows is a subset of what S0 showed, by 6 of the same size, and so the same versions. By 1 no crash has taken
back what S0 saw, or handed an id out again. A version never changes its values: FREEZE keeps xmin, VACUUM FULL and
CLUSTER move versions as they are, a row lock sets xmax alone, a value in TOAST belongs to its version. By 3 and 4 the
same columns are read from the same versions, by 5 as the same text, in the same order.

What errs, errs towards hashing: an old frozen version comes to look new after 2^31 ids; while a transaction stays open,
X stays behind it, and what was written since is hashed each time. The statistics' number of writes only tells where
counting is in vain. Outside of the proof is a superuser who edits catalogues, or versions (pg_surgery): the daily full
comparison reads every row.

`age(xmin)` is no way to compare: it counts from another origin than the snapshot, ends at 2^31, and is closed to
parallel workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..state.last_backup import RowVersions
from .digest import TableDigest
from .session import fetch_all, is_name_not_found
from .snapshot import Table

if TYPE_CHECKING:
    from .session import Connection

# Never here: enum, composite, range, reg*, aclitem, money, and types of extensions, whose text depends on a catalogue,
# a setting or a library as well.
_TYPES = (
    "bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric", "char", "name", "text", "varchar", "bpchar",
    "bytea", "uuid", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "json", "jsonb", "inet", "cidr",
    "macaddr", "macaddr8", "tsvector",
)  # fmt: skip
_HALF = 1 << 31

# An array type is its element's `typarray`: other types have a `typelem` too, and a text of their own.
_SHAPES = """
WITH RECURSIVE inside (attrelid, oid) AS (
    SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY (%s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT i.attrelid, coalesce(e.oid, t.typbasetype)
    FROM inside i JOIN pg_catalog.pg_type t ON t.oid = i.oid
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
    WHERE t.typtype = 'd' OR e.oid IS NOT NULL
), unsuitable (attrelid) AS (
    SELECT i.attrelid FROM inside i JOIN pg_catalog.pg_type t ON t.oid = i.oid
    WHERE t.typtype <> 'd' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid)
    AND NOT (t.typname = ANY (%s) AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.oid < 16384)
)
SELECT c.oid::bigint, pg_catalog.json_build_array(
    c.oid, (SELECT i.indkey::text FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
    pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attnum, a.attname, a.atttypid, a.atttypmod, a.attmissingval::text) ORDER BY a.attnum))::text,
    pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
        + pg_catalog.pg_stat_get_tuples_deleted(c.oid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'heap'
WHERE c.oid = ANY (%s) AND c.oid NOT IN (SELECT attrelid FROM unsuitable)
GROUP BY c.oid HAVING pg_catalog.bool_and(a.attgenerated IN ('', 's'))
"""
_VERSIONS = """
SELECT pg_catalog.count(*),
       pg_catalog.count(*) FILTER (WHERE ((xmin::pg_catalog.text::pg_catalog.int8 - {}) & 4294967295) < 2147483648)
FROM ONLY {}
"""


@dataclass(frozen=True)
class Shape:
    """What has to be the same of a table besides its versions: `digest` (hex); `writes` is a hint, see above."""

    digest: str
    writes: int


def shapes_of(connection: Connection, tables: Iterable[Table]) -> dict[int, Shape]:
    """Given tables, return the shape of each for which conditions 4 and 5 can hold, by OID."""
    oids = [table.oid for table in tables]
    found = fetch_all(connection, _SHAPES, oids, list(_TYPES), oids)
    return {oid: Shape(hashlib.sha256(shape.encode()).hexdigest(), writes) for oid, shape, writes in found}


def remember(
    token: str, tables: Iterable[Table], shapes: Mapping[int, Shape], digests: Mapping[int, TableDigest]
) -> RowVersions:
    """Given a snapshot's token and what was read in that snapshot, return what to remember of the tables' versions.

    :param digests: of whole tables, by OID; each counted its rows
    """
    if not token:
        return RowVersions()
    kept = [table for table in tables if table.oid in shapes and table.oid in digests]
    return RowVersions(
        token,
        rows={table.quoted: digests[table.oid].rows for table in kept},
        shapes={table.quoted: shapes[table.oid].digest for table in kept},
        writes={table.quoted: shapes[table.oid].writes for table in kept},
    )


def unchanged(
    connection: Connection, token: str, remembered: RowVersions, tables: Iterable[Table], shapes: Mapping[int, Shape]
) -> list[Table]:
    """Given a transaction that has its snapshot and its locks, return the tables that hold the versions remembered.

    :param token: of this transaction's snapshot
    :param shapes: of the tables, read in this snapshot
    """
    snapshot, _, run = token.partition("/")
    earlier, _, earlier_run = remembered.token.partition("/")
    if not run or run != earlier_run:
        return []
    oldest, after = int(earlier.split(":")[0]), int(snapshot.split(":")[1])
    if after - oldest >= _HALF:
        return []
    return [
        table
        for table in tables
        if (shape := shapes.get(table.oid))
        and shape.digest == remembered.shapes.get(table.quoted)
        and shape.writes == remembered.writes.get(table.quoted)
        and _versions(connection, table, oldest) == (remembered.rows.get(table.quoted), 0)
    ]


def _versions(connection: Connection, table: Table, oldest: int) -> tuple[int, int] | None:
    """Return how many versions are visible, and how many of them are of `oldest` or later.

    Return None where the query cannot be planned, as in digest.py. The transaction is as it was before.
    """
    import psycopg
    from psycopg import sql

    query = sql.SQL(_VERSIONS).format(sql.Literal(oldest), sql.Identifier(table.schema, table.name))
    connection.execute("SAVEPOINT versions")
    try:
        ((visible, new),) = connection.execute(query).fetchall()
    except psycopg.Error as error:
        if not is_name_not_found(error.sqlstate):
            raise
        connection.execute("ROLLBACK TO SAVEPOINT versions")
        return None
    connection.execute("RELEASE SAVEPOINT versions")
    return visible, new
