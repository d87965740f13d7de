"""Whole databases: create, swap by rename, drop. The few statements that need more than the application's own role.

Nobody loads data over these connections; that is the owner's work (see load.py).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError, RestoreError
from .dsn import Dsn
from .extensions import OURS, comment_extensions, open_configuration
from .locales import options
from .session import administer, fetch_all, fetch_one

if TYPE_CHECKING:
    from .session import Connection

MAX_NAME = 63
"""Bytes of an identifier that PostgreSQL keeps; it cuts what is longer without a word."""
_MAINTENANCE = "postgres"
_STAMP = "%Y%m%dt%H%M%S"
_DIGEST = 8
"""Hexadecimal digits that tell shortened names apart."""
_SWAP_LIMIT = 15.0
"""Seconds that a swap may wait for the old sessions to end."""

# Not autovacuum, which is nobody's.
_CONNECTED = """
SELECT DISTINCT usename FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND usename IS NOT NULL ORDER BY usename
"""
_TERMINATE = """
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid()
"""
_BLOCKERS = """
SELECT 'prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = %(name)s
UNION ALL
SELECT 'logical replication slot ' || slot_name FROM pg_catalog.pg_replication_slots WHERE database = %(name)s
UNION ALL
SELECT 'subscription ' || subname FROM pg_catalog.pg_subscription
WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = %(name)s)
"""

_WHOSE = """
SELECT d.datistemplate, d.datname = pg_catalog.current_database(), pg_catalog.pg_get_userbyid(d.datdba),
       o.rolsuper OR o.rolname = current_user OR %(role)s = '' OR EXISTS (
           SELECT FROM pg_catalog.pg_roles r
           WHERE r.rolname = %(role)s AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER'))
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba WHERE d.datname = %(name)s
"""


@dataclass(frozen=True)
class Swapped:
    """A swap that was done: what the old database is called now, and how long nobody could connect, in seconds."""

    previous: str
    outage: float


def stamped_name(live: str, word: str, timestamp: datetime | None = None) -> str:
    """Given a database's name and a word, return `<live>_<word>_<stamp>`, shortened to what PostgreSQL keeps.

    A name that is shortened ends in a digest of the whole one: two that begin alike must not be taken for each other.
    """
    suffix = f"_{word}_{(timestamp or datetime.now(timezone.utc)).strftime(_STAMP)}"
    room = MAX_NAME - len(suffix)
    stem = live.encode()
    if len(stem) > room:
        # Databases that an earlier release has made of such a name, without the digest, are no longer known as ours:
        # nobody can tell whose they are.
        digest = "_" + hashlib.sha256(stem).hexdigest()[:_DIGEST]
        stem = stem[: room - len(digest)].decode(errors="ignore").encode() + digest.encode()
    return stem.decode() + suffix


def free_name(connection: Connection, live: str, word: str) -> str:
    """Given a database's name and a word, return a stamped name that no database has: two may fall into one second."""
    timestamp = datetime.now(timezone.utc)
    while exists(connection, name := stamped_name(live, word, timestamp)):
        timestamp += timedelta(seconds=1)
    return name


def previous_databases(connection: Connection, live: str, word: str = "before") -> list[str]:
    """Given the live database's name, return those that `stamped_name` made of it, newest first."""
    pattern = re.compile(re.escape(stamped_name(live, word)[:-15]) + r"\d{8}t\d{6}\Z")
    names = [row[0] for row in fetch_all(connection, "SELECT datname FROM pg_catalog.pg_database")]
    return sorted((name for name in names if pattern.match(name)), reverse=True)


def exists(connection: Connection, name: str) -> bool:
    """Given a name, return whether there is such a database."""
    return bool(fetch_one(connection, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %s)", name)[0])


def takes_connections(connection: Connection, name: str) -> bool:
    """Given a database's name, return whether one can connect to it: not where dropping it was interrupted (-2)."""
    query = "SELECT datallowconn AND datconnlimit <> -2 FROM pg_catalog.pg_database WHERE datname = %s"
    return fetch_all(connection, query, name) == [(True,)]


def owner_of(connection: Connection, name: str) -> str:
    """Given a database's name, return the role that it belongs to; empty if it is not there."""
    query = "SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = %s"
    return str(next((row[0] for row in fetch_all(connection, query, name)), ""))


def check_whose(connection: Connection, name: str, role: str = "") -> None:
    """Given the name that is said to be of an application's database, and its role, refuse what can be none.

    The application itself says these names, and an administrator's connection could rename or drop any database. One
    of a superuser, or of the administrator who connects, may be the application's by GRANT.

    :raises RestoreError: it is the server's own, or another role's; nothing was changed
    """
    hint = "look at DATABASE_URL in the application's environment; nothing was changed"
    found = connection.execute(_WHOSE, {"name": name, "role": role}).fetchone()
    template, ours, owner, may = found or (False, False, "", True)
    if name == _MAINTENANCE or template or ours:
        raise RestoreError(f"{name} is a database of the server's own, and no application's", hint)
    if not may:
        raise RestoreError(f"the database {name} belongs to another role: {owner}, and {role} is no member of it", hint)


def mark_as_ours(connection: Connection, name: str) -> None:
    """Given a new database under a name that somebody chose, note that a restore has made it."""
    from psycopg import sql

    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(OURS)))


def is_ours(connection: Connection, name: str) -> bool:
    """Given a database's name, return whether `mark_as_ours` was called for it."""
    query = "SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database WHERE datname = %s"
    return fetch_all(connection, query, name) == [(OURS,)]


def create_database(connection: Connection, name: str, metadata: Mapping[str, Any]) -> None:
    """Given a new database's name and the manifest's metadata, create it, empty; it is the administrator's for now.

    Nobody but a superuser gets in before `give_away`: what others made there could be run by what a superuser does
    there. An administrator who is none has to get in, and has no power that others could want.

    Encoding and locale are those of the metadata, which `locales.completed` makes whole.

    :raises DatabaseError: the server refuses, for a locale that it does not have for example
    """
    from psycopg import sql

    said = [sql.SQL("TEMPLATE template0"), *options(connection, metadata)]
    if connection.info.parameter_status("is_superuser") == "on":
        said.append(sql.SQL("CONNECTION LIMIT 0"))
    connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(said)))


def give_away(connection: Connection, name: str, owner: str) -> None:
    """Given a new database in which the administrator has done everything, let everybody in, and give it to its owner.

    :raises DatabaseError: there is no such role, or the administrator may not act as it
    """
    from psycopg import sql

    for change in (sql.SQL("CONNECTION LIMIT -1"), sql.SQL("OWNER TO {}").format(sql.Identifier(owner))):
        connection.execute(sql.SQL("ALTER DATABASE {} {}").format(sql.Identifier(name), change))


def create_extensions(
    admin: Dsn, name: str, owner: str, metadata: Mapping[str, Any], allowed: Iterable[str]
) -> list[str]:
    """Given a new database and its owner to be, create the dump's extensions that the owner may not; return names.

    A trusted extension is the owner's own work: it stands in the SQL.

    :param allowed: names of extensions that an administrator has agreed to
    :raises RestoreError: the dump needs one that nobody agreed to
    """
    from psycopg import sql

    needed = [each for each in metadata.get("extensions", ()) if not each["trusted"]]
    refused = sorted({each["name"] for each in needed} - set(allowed))
    if refused:
        raise RestoreError(
            f"the dump needs extensions that only a superuser may create: {', '.join(refused)}",
            "if you trust them, name them in checkniner_backups_allowed_extensions",
        )
    if needed:
        with administer(admin.to(name)) as connection:
            for each in needed:
                # The owner's, as it would be if the dump had made it: the dump then fills it.
                schema = sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}")
                connection.execute(schema.format(sql.Identifier(each["schema"]), sql.Identifier(owner)))
                statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
                connection.execute(statement.format(sql.Identifier(each["name"]), sql.Identifier(each["schema"])))
            comment_extensions(connection, metadata)
            open_configuration(connection, owner, metadata, [each["name"] for each in needed])
    return [each["name"] for each in needed]


def blockers(connection: Connection, name: str) -> list[str]:
    """Given a database, return what forbids to leave it behind: it would stay there, or hold on to it."""
    return [row[0] for row in connection.execute(_BLOCKERS, {"name": name}).fetchall()]


def swap(admin: Dsn, live: str, new: str, previous: str) -> Swapped:
    """Given the live database's name and the new one's, rename both in one transaction; keep the old one as `previous`.

    The first rename takes the lock that keeps new sessions waiting, and itself waits for the old ones to end, which a
    second session ends. A crash leaves either both names changed, or none.

    :raises RestoreError: the old sessions cannot be ended, or something forbids to leave the old database
    """
    import psycopg
    from psycopg import sql

    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    with administer(admin) as connection, administer(admin) as other:
        found = blockers(connection, live)
        if found:
            raise RestoreError(
                f"database {live} cannot be swapped: {'; '.join(found)}", "end or drop these first, then restore again"
            )
        stop = threading.Event()
        terminator = threading.Thread(target=_terminate, args=(other, (live, new), stop), daemon=True)
        connection.execute(f"SET lock_timeout = {int(_SWAP_LIMIT * 1000)}".encode())
        connection.execute("BEGIN")
        started = time.monotonic()
        terminator.start()
        try:
            if exists(connection, live):
                connection.execute(rename.format(sql.Identifier(live), sql.Identifier(previous)))
            connection.execute(rename.format(sql.Identifier(new), sql.Identifier(live)))
            connection.execute("COMMIT")
        except psycopg.Error as error:
            connection.execute("ROLLBACK")
            users = [row[0] for row in fetch_all(connection, _CONNECTED, live)]
            raise RestoreError(
                f"database {live} could not be renamed: {str(error).splitlines()[0]}",
                f"sessions of {', '.join(users) or 'nobody'} are connected; stop those programs, then restore again",
            ) from None
        finally:
            stop.set()
            terminator.join()
        return Swapped(previous, time.monotonic() - started)


def _terminate(connection: Connection, names: Iterable[str], stop: threading.Event) -> None:
    import psycopg

    while not stop.is_set():
        for name in names:
            # Somebody else's session that this role may not end: the rename then says so.
            with contextlib.suppress(psycopg.Error):
                connection.execute(_TERMINATE, (name,))
        stop.wait(0.05)


def drop_database(connection: Connection, name: str) -> None:
    """Given the name of a database that is not the live one, drop it if it is there."""
    from psycopg import sql

    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def admin_dsn(application: Dsn, url: str) -> Dsn:
    """Given the application's database and an admin URL (empty: the local socket), return where to administer.

    :raises DatabaseError: the URL is of another server
    """
    from .dsn import parse_url

    if not url:
        local = application.host if application.host.startswith("/") else ""
        return Dsn(database=_MAINTENANCE, host=local, port=application.port)
    admin = parse_url(url)
    if admin.database == application.database:
        raise DatabaseError("the admin URL names the application's own database", "name the database postgres in it")
    return admin
