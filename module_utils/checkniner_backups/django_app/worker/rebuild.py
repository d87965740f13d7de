"""Foreign keys and indexes that are taken away before a load into a new database, and made again after it.

PostgreSQL checks all rows of a foreign key in one query in a tenth of the time that it takes row by row, and sorts a
whole index in half. Only what comes back exactly as it was, and could not have refused a row earlier, is taken away:
foreign keys that are checked at the end of the transaction anyway, and indexes of columns with a fixed length that are
not unique. All of that happens in the load's transaction: a load that fails has taken nothing away.
"""

from __future__ import annotations

from typing import Any

_TABLES = """
  r.oid = ANY (%s::text[]::regclass[]) AND r.relkind = 'r' AND NOT r.relispartition AND NOT r.relhassubclass
  AND pg_has_role(r.relowner, 'USAGE')
"""
_BY_ITSELF = """
  AND NOT EXISTS (SELECT FROM pg_description d WHERE d.classoid = {0}::regclass AND d.objoid = {1}.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = {0}::regclass AND d.objid = {1}.oid
    AND d.deptype IN ('e', 'x'))
"""
_FOREIGN_KEYS = f"""
SELECT r.oid::regclass::text, quote_ident(c.conname), pg_get_constraintdef(c.oid)
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
WHERE {_TABLES} AND c.contype = 'f' AND c.condeferred AND c.convalidated AND c.conislocal AND c.coninhcount = 0
  AND f.relkind = 'r' AND pg_has_role(f.relowner, 'USAGE')
  {_BY_ITSELF.format("'pg_constraint'", "c")}
ORDER BY 1, 2
"""  # noqa: S608  put together here
_INDEXES = f"""
SELECT x.oid::regclass::text, pg_get_indexdef(x.oid)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class r ON r.oid = i.indrelid
  JOIN pg_am a ON a.oid = x.relam
WHERE {_TABLES} AND a.amname = 'btree' AND NOT i.indisunique AND i.indisvalid AND i.indisready
  AND NOT i.indisclustered AND i.indexprs IS NULL AND i.indpred IS NULL AND x.relkind = 'i' AND x.reltablespace = 0
  AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = x.oid AND attlen < 0)
  {_BY_ITSELF.format("'pg_class'", "x")}
ORDER BY 1
"""  # noqa: S608  put together here


class Rebuild:
    """What was taken away from some tables."""

    def __init__(self, connection: Any, tables: list[str]) -> None:
        """:param tables: quoted names; none: nothing is taken away"""
        self.connection = connection
        self.foreign_keys: list[tuple[str, str, str]] = []
        self.indexes: list[str] = []
        if not tables or connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute(_FOREIGN_KEYS, [tables])
            self.foreign_keys = cursor.fetchall()
            cursor.execute(_INDEXES, [tables])
            indexes = cursor.fetchall()
            self.indexes = [definition for _, definition in indexes]
            for table, name, _ in self.foreign_keys:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            for name, _ in indexes:
                cursor.execute(f"DROP INDEX {name}")

    def restore(self) -> None:
        """Make all of it again.

        :raises IntegrityError: a row refers to nothing
        """
        if not self.foreign_keys and not self.indexes:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")  # one statement reads a whole table
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending checks cannot be altered
            for definition in self.indexes:
                cursor.execute(definition)
            for table, name, definition in self.foreign_keys:
                cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
