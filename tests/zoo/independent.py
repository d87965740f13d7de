"""What is in a database of any application, by means that share nothing with the engine: pg_dump, and rows as text."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection
from typing import Any

import psycopg
from psycopg import sql

from sandbox.postgres import find_binaries

Rows = dict[str, list[str]]
_RANDOM = re.compile(r"\\(un)?restrict ")
_TABLES = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = %s AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 2, 3
"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL) ~ '^time', coalesce(f.relname, ''), coalesce(fn.nspname, '')
FROM pg_attribute a
LEFT JOIN pg_constraint k ON k.contype = 'f' AND k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum]
LEFT JOIN pg_class f ON f.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# Every `migrate` numbers these anew: they are compared by what they name, and so is what refers to them.
_TYPE = "(SELECT app_label || '.' || model FROM {schema}.django_content_type c WHERE c.id = t.{column})"
_PERMISSION = (
    "(SELECT app_label || '.' || model || '.' || codename FROM {schema}.auth_permission p"
    " JOIN {schema}.django_content_type c ON c.id = p.content_type_id WHERE p.id = t.{column})"
)
_NAMED = {"django_content_type": _TYPE, "auth_permission": _PERMISSION}
_OWNED_SEQUENCES = """
SELECT s.oid::regclass::text, t.oid::regclass::text, quote_ident(a.attname)
FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S'
"""


def dump_text(url: str, *options: str) -> list[str]:
    """Given a database's URL, return what pg_dump writes, but for the lines that are random."""
    done = subprocess.run([find_binaries() / "pg_dump", *options, url], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not _RANDOM.match(line)]


def copied(url: str, target: str) -> None:
    """Given URLs of a database and of an empty one, copy it as PostgreSQL's own tools do."""
    dump = subprocess.run([find_binaries() / "pg_dump", url], capture_output=True, check=True).stdout
    argv = [find_binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", target]
    subprocess.run(argv, input=dump, stdout=subprocess.DEVNULL, check=True)


def rows(url: str, kind: str = "r") -> Rows:
    """Given a database's URL, return all rows of every table as text, sorted.

    :param kind: `m` for materialised views instead: no dump holds their rows, they are made anew
    """
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        whole = sql.SQL("SELECT t::text FROM {} t")
        return {
            f"{schema}.{table}": _sorted(connection, whole.format(sql.Identifier(schema, table)))
            for _, schema, table in connection.execute(_TABLES, (kind,)).fetchall()
        }


def objects(url: str) -> Rows:
    """Given a Django database's URL, return what its applications know, as `rows` does.

    Content types and permissions count by what they name, and times to the millisecond, which is what Django's JSON
    holds. A row that does nothing but link two others has no number; when a migration ran is no object.
    """
    found = {}
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        for oid, schema, table in connection.execute(_TABLES, ("r",)).fetchall():
            if table != "django_migrations":
                columns = connection.execute(_COLUMNS, (oid,)).fetchall()
                found[f"{schema}.{table}"] = _sorted(connection, _query(schema, table, columns))
    return found


def differences(before: Rows, after: Rows, but: Collection[str] = ()) -> list[str]:
    """Given two contents, return what differs, a line for each table.

    :param but: names of tables, without schema, that are not compared
    """
    found = []
    for name in sorted(before.keys() | after.keys()):
        if name.partition(".")[2] in but or before.get(name) == after.get(name):
            continue
        was, now = before.get(name, ["no such table"]), after.get(name, ["no such table"])
        lost, new = [row for row in was if row not in now], [row for row in now if row not in was]
        found.append(f"{name}: {len(was)} rows, then {len(now)}; first lost: {lost[:1]}; first new: {new[:1]}")
    return found


def sequences_behind(url: str) -> list[str]:
    """Given a database's URL, return the columns whose next number is taken: the next INSERT would fail."""
    behind = []
    with psycopg.connect(url) as connection:
        for sequence, table, column in connection.execute(_OWNED_SEQUENCES).fetchall():
            query = f"SELECT last_value + is_called::int <= (SELECT coalesce(max({column}), 0) FROM {table})"
            if connection.execute(f"{query} FROM {sequence}").fetchone() == (True,):
                behind.append(f"{table}.{column}")
    return behind


def _query(schema: str, table: str, columns: list[tuple[Any, ...]]) -> sql.Composed:
    links = len(columns) == 3 and columns[0][0] == "id" and all(referred for _, _, referred, _ in columns[1:])
    chosen: list[sql.Composable] = []
    for name, is_time, referred, referred_schema in columns:
        column = sql.Identifier(name)
        if name == "id" and (links or table in _NAMED):
            continue
        if referred in _NAMED:
            chosen.append(sql.SQL(_NAMED[referred]).format(schema=sql.Identifier(referred_schema), column=column))
        elif is_time:
            chosen.append(sql.SQL("date_trunc('milliseconds', t.{})").format(column))
        else:
            chosen.append(sql.SQL("t.{}").format(column))
    parts = sql.SQL(", ").join(chosen), sql.Identifier(schema, table)
    return sql.SQL("SELECT ROW({})::text FROM {} t").format(*parts)


def _sorted(connection: psycopg.Connection[tuple[Any, ...]], query: sql.Composable) -> list[str]:
    return sorted(text for (text,) in connection.execute(query))
