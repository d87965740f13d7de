"""What extensions hold of a database's own: rows in their configuration tables, and comments on them.

The tables belong to who made the extension; `pg_dump` dumps the rows that the extension's condition selects, with the
rest of the data, and neither the tables nor the other rows.
https://www.postgresql.org/docs/current/extend-extensions.html#EXTEND-EXTENSIONS-CONFIG-TABLES
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import RestoreError
from .session import fetch_all

if TYPE_CHECKING:
    from .session import Connection

OURS = "made by a restore of checkniner-backups"
"""The comment on a database that a restore made under a name that somebody chose: it tells that it may be dropped."""

_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), e.extname, u.condition
FROM pg_catalog.pg_extension e
CROSS JOIN LATERAL
    ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS u (oid, condition)
JOIN pg_catalog.pg_class c ON c.oid = u.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
# PL/pgSQL belongs to the server.
_COMMENTS = """
SELECT e.extname, pg_catalog.obj_description(e.oid, 'pg_extension'),
       pg_catalog.pg_has_role(e.extowner, 'USAGE')
FROM pg_catalog.pg_extension e WHERE e.extname <> 'plpgsql' ORDER BY e.extname
"""
_TRUSTED = """
SELECT e.extname FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion WHERE v.trusted
"""
_COMMENT = """
SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database
WHERE datname = pg_catalog.current_database()
"""

# Rows of these are reference data. Of other extensions they may be orders that somebody more powerful carries out, such
# as pg_cron's jobs: an archive's content must not become those.
_REFERENCE = ("address_standardizer_data_us", "postgis", "postgis_tiger_geocoder", "postgis_topology")


@dataclass(frozen=True)
class ConfigurationTable:
    """A configuration table of an extension. `condition` is empty, or begins with WHERE: the rows that are dumped."""

    oid: int
    schema: str
    name: str
    quoted: str
    extension: str
    condition: str


def configuration_tables(connection: Connection) -> tuple[ConfigurationTable, ...]:
    """Return the configuration tables of this database's extensions, by schema and name."""
    return tuple(ConfigurationTable(*row) for row in fetch_all(connection, _TABLES))


def closed_tables(connection: Connection, role: str | None = None) -> list[str]:
    """Given a role (none: our own), return the configuration tables, quoted, into which it may not insert."""
    query = "SELECT pg_catalog.has_table_privilege(coalesce(%s, current_user), %s::pg_catalog.oid, 'INSERT')"
    tables = configuration_tables(connection)
    return [table.quoted for table in tables if not fetch_all(connection, query, role, table.oid)[0][0]]


def open_configuration(connection: Connection, role: str, metadata: Mapping[str, Any], made: Collection[str]) -> None:
    """Given an administrator's connection to a new database, let a role load the rows of configuration tables.

    `CREATE EXTENSION` may have made such rows already: the archive has them too, and they would be there twice. Only an
    archive that tells how many rows there are is prepared for; `close_configuration` undoes what was granted.

    :param made: extensions that the administrator has made
    :raises RestoreError: nobody can be let to load rows of one of these extensions
    """
    from psycopg import sql

    rows = {(schema, name): count for schema, name, count in metadata.get("extension_rows", ())}
    closed = closed_tables(connection, role)
    for table in configuration_tables(connection):
        count = rows.get((table.schema, table.name))
        if count is None or table.extension not in made:
            continue
        name = sql.Identifier(table.schema, table.name)
        connection.execute(sql.SQL("DELETE FROM ONLY {} {}").format(name, sql.SQL(table.condition)))
        if not count or table.quoted not in closed:
            continue
        if table.extension not in _REFERENCE:
            raise RestoreError(
                f"the dump holds {count} rows of {table.quoted}, a table of the extension {table.extension}, which only"
                " an administrator may load",
                "what they say may be carried out with an administrator's power: look at them, then restore by hand,"
                " or restore this archive with source=fixtures",
            )
        connection.execute(sql.SQL("GRANT INSERT ON {} TO {}").format(name, sql.Identifier(role)))


def unloadable_rows(connection: Connection, role: str) -> list[str]:
    """Given a connection to a database and the role that would load its dump, return what `open_configuration` would
    refuse, or the role could not do, one text each."""
    from psycopg import sql

    trusted = {row[0] for row in fetch_all(connection, _TRUSTED)}
    closed = closed_tables(connection, role)
    problems = []
    for table in configuration_tables(connection):
        if table.quoted not in closed or (table.extension in _REFERENCE and table.extension not in trusted):
            continue
        parts = sql.Identifier(table.schema, table.name), sql.SQL(table.condition)
        if connection.execute(sql.SQL("SELECT FROM ONLY {} {} LIMIT 1").format(*parts)).fetchall():
            problems.append(
                f"rows of {table.quoted}, a table of the extension {table.extension}, can only be loaded by an"
                " administrator: delete them, or restore by hand"
            )
    return problems


def close_configuration(connection: Connection, role: str) -> None:
    """Given an administrator's connection to a loaded database, take back what `open_configuration` has granted."""
    from psycopg import sql

    for table in configuration_tables(connection):
        if table.extension in _REFERENCE:
            name = sql.Identifier(table.schema, table.name)
            connection.execute(sql.SQL("REVOKE INSERT ON {} FROM {}").format(name, sql.Identifier(role)))


def was_opened(metadata: Mapping[str, Any]) -> bool:
    """Given the manifest's metadata of the database, return whether `open_configuration` may have granted something."""
    names = {each["name"] for each in metadata.get("extensions", ()) if not each["trusted"]}
    return bool(names & {*_REFERENCE}) and any(count for _, _, count in metadata.get("extension_rows", ()))


def database_comment(connection: Connection) -> str | None:
    """Return the comment on this database; not where it is ours."""
    comment = fetch_all(connection, _COMMENT)[0][0]
    return None if comment == OURS else comment


def has_our_note(connection: Connection) -> bool:
    """Return whether this database's comment says that a restore made it under a name that somebody chose."""
    return fetch_all(connection, _COMMENT) == [(OURS,)]


def extension_comments(connection: Connection) -> dict[str, str | None]:
    """Return the comment on each extension, by its name."""
    return {name: comment for name, comment, _ in fetch_all(connection, _COMMENTS)}


def comment_extensions(connection: Connection, metadata: Mapping[str, Any]) -> None:
    """Given the manifest's metadata of the database, let the comments on those extensions that are ours be the
    archive's."""
    from psycopg import sql

    wanted = metadata.get("extension_comments", {})
    for name, comment, ours in fetch_all(connection, _COMMENTS):
        if ours and name in wanted and wanted[name] != comment:
            statement = sql.SQL("COMMENT ON EXTENSION {} IS {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Literal(wanted[name])))


def comment_database(connection: Connection, metadata: Mapping[str, Any]) -> None:
    """Given a connection to a database as its owner, and the manifest's metadata of the database, put its comment back.

    One that a restore made under a name that somebody chose keeps the note that tells so.
    """
    from psycopg import sql

    comment, found = metadata.get("comment"), fetch_all(connection, _COMMENT)[0][0]
    if comment is not None and found not in (comment, OURS):
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(comment)))
