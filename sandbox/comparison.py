"""What is in a database, told by means that share nothing with the engine: rows counted, and hashed as text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import psycopg
from psycopg import sql

# Their numbers are given anew by every `migrate`, or say nothing: rows of these tables are compared without them.
_WITHOUT_KEY = {
    "django_content_type", "auth_permission", "auth_group_permissions", "auth_user_groups",
    "auth_user_user_permissions", "checkouts_airstrip_bases",
}  # fmt: skip
# A reference to such a number is compared by what it points at.
_REFERENCES = {
    "content_type_id": "(SELECT app_label || '.' || model FROM django_content_type c WHERE c.id = t.content_type_id)",
    "permission_id": "(SELECT app_label || '.' || model || '.' || codename FROM auth_permission p"
    " JOIN django_content_type c ON c.id = p.content_type_id WHERE p.id = t.permission_id)",
}
_NO_OBJECTS = {"django_migrations"}
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
_COLUMNS = (
    "SELECT attname, format_type(atttypid, NULL) LIKE 'timestamp%%' FROM pg_attribute"
    " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


@dataclass(frozen=True)
class Content:
    """The tables of a database: row count and SHA-256 of each."""

    tables: dict[str, tuple[int, str]]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(count for count, _ in self.tables.values())

    def differences(self, other: Content) -> list[str]:
        """Given another content, return what differs, a line for each table."""
        names = sorted(self.tables.keys() | other.tables.keys())
        pairs = ((name, self.tables.get(name), other.tables.get(name)) for name in names)
        return [f"{name}: {_words(ours)}, then {_words(theirs)}" for name, ours, theirs in pairs if ours != theirs]


def rows(url: str) -> Content:
    """Given a database's URL, return every table as it is, to the last bit that text shows."""
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        names = [name for (name,) in connection.execute(_TABLES)]
        whole = sql.SQL("SELECT t FROM {} t")
        return Content({name: _digest(connection, whole.format(sql.Identifier(name))) for name in names})


def objects(url: str) -> Content:
    """Given a Django database's URL, return what its applications know.

    References by number to content types and permissions count by what they point at, and times to the millisecond,
    which is what Django's JSON holds.
    """
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        names = [name for (name,) in connection.execute(_TABLES) if name not in _NO_OBJECTS]
        return Content({name: _digest(connection, _object_query(connection, name)) for name in names})


def sequences_behind(url: str) -> list[str]:
    """Given a database's URL, return the tables whose next key exists already: the next INSERT would fail."""
    behind = []
    with psycopg.connect(url) as connection:
        for (name,) in connection.execute(_TABLES).fetchall():
            (sequence,) = connection.execute(
                "SELECT pg_get_serial_sequence(attrelid::regclass::text, attname) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attname = 'id' UNION ALL SELECT NULL LIMIT 1", (name,)
            ).fetchone() or (None,)  # fmt: skip
            if sequence:
                query = "SELECT last_value + is_called::int <= (SELECT coalesce(max(id), 0) FROM {}) FROM {}"
                parts = sql.Identifier(name), sql.Identifier(*sequence.split("."))
                if connection.execute(sql.SQL(query).format(*parts)).fetchone() == (True,):
                    behind.append(name)
    return behind


def _object_query(connection: psycopg.Connection[tuple[object, ...]], table: str) -> sql.Composed:
    chosen: list[sql.Composable] = []
    for column, is_time in connection.execute(_COLUMNS, (table,)):
        if str(column) == "id" and table in _WITHOUT_KEY:
            continue
        if str(column) in _REFERENCES:
            chosen.append(sql.SQL(_REFERENCES[str(column)]))
        elif is_time:
            chosen.append(sql.SQL("date_trunc('milliseconds', t.{})").format(sql.Identifier(str(column))))
        else:
            chosen.append(sql.SQL("t.{}").format(sql.Identifier(str(column))))
    return sql.SQL("SELECT ROW({}) FROM {} t").format(sql.SQL(", ").join(chosen), sql.Identifier(table))


def _digest(connection: psycopg.Connection[tuple[object, ...]], query: sql.Composable) -> tuple[int, str]:
    """Given a query of one column, return the number of rows, and the digest of their text in its byte order."""
    digest, count = hashlib.sha256(), 0
    ordered = sql.SQL('SELECT row::text FROM ({}) q(row) ORDER BY row::text COLLATE "C"').format(query)
    for (line,) in connection.execute(ordered):
        digest.update(f"{line}\n".encode())
        count += 1
    return count, digest.hexdigest()


def _words(table: tuple[int, str] | None) -> str:
    return f"{table[0]} rows ({table[1][:8]})" if table else "missing"
