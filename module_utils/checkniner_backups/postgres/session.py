"""Connections to PostgreSQL, and the translation of their errors into ours."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError, LockTimeoutError, NoDatabaseError, SettingsError
from .dsn import Dsn

if TYPE_CHECKING:
    from typing import LiteralString  # Python 3.11; the engine runs on 3.10

    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

# A connection whose other end vanished without a word is noticed after two minutes, not after two hours.
_KEEPALIVE = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6, "tcp_user_timeout": 120_000}
# What a connection says at its start counts more than what is set for a database or a role.
_OWN_NAMES = "-c search_path=pg_catalog,pg_temp -c default_transaction_read_only=off"
_GONE = re.compile(r'FATAL: +database ".*" does not exist')
_FULL = re.compile(r"too many (clients|connections)|remaining connection slots")
_THERE = 2.0
"""Seconds for a server to take a connection."""
_HINTS = {
    "28P01": "the password in the database URL is wrong",
    "28000": "the server does not let this role in; look at pg_hba.conf and at the role in the database URL",
    "3D000": "the database URL names a database that is not there",
    "42501": "grant the role in the database URL SELECT on it; a read-only role needs it on every table and sequence",
    "53100": "free some space on the database server",
    "53300": "there is no connection left on the server: end some (pg_stat_activity lists them), let the application"
    " hold fewer, or raise max_connections or the role's or the database's CONNECTION LIMIT; the next tick tries again",
    "57P03": "the server is starting or stopping; the next tick tries again",
}

CONFLICT_HINT = (
    "the server is a standby, which ends a query that stands in the way of replay: set max_standby_streaming_delay"
    " there to longer than a backup takes; hot_standby_feedback helps against the primary's VACUUM"
)

# undefined_function, undefined_table, undefined_object, undefined_column, invalid_schema_name, ambiguous_function,
# datatype_mismatch, cannot_coerce.
_NAME_NOT_FOUND = ("42883", "42P01", "42704", "42703", "3F000", "42725", "42804", "42846")


@contextmanager
def connect(dsn: Dsn) -> Iterator[Connection]:
    """Given where to go, yield a connection in autocommit mode and close it.

    :raises DatabaseError: the server does not let us in, or, later, an error of the statements run
    """
    import psycopg

    with translated(dsn):
        try:
            connection = _open(dsn)
        except psycopg.OperationalError as error:
            # A failed connection has no SQLSTATE, and the server's words may be of any language: the server is asked.
            if _is_gone(dsn, error):
                raise NoDatabaseError(f"{dsn}: {_line(error)}", _HINTS["3D000"]) from None
            hint = _hint_of_state(error) or connection_hint(str(error), dsn)
            raise DatabaseError(f"{dsn}: {_line(error)}", hint) from None
        with connection:
            yield connection


def _open(dsn: Dsn) -> Connection:
    import psycopg

    arguments: dict[str, Any] = {**_KEEPALIVE, **dsn.arguments()}
    # No prepared statements: behind a pooler they would stay in a connection of the application.
    return psycopg.connect(**arguments, autocommit=True, prepare_threshold=None)


def _is_gone(dsn: Dsn, error: psycopg.OperationalError) -> bool:
    """Given a connection that failed, return whether the server has no such database."""
    import psycopg

    if _GONE.search(str(error)):
        return True
    if isinstance(error, psycopg.errors.ConnectionTimeout) or not _is_there(dsn):
        return False
    query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %s)"
    for database in ("postgres", "template1"):
        try:
            with _open(dsn.to(database)) as connection:
                return not fetch_one(connection, query, dsn.database)[0]
        except psycopg.Error:
            continue
    return False


def _is_there(dsn: Dsn) -> bool:
    """Return whether something takes connections where the server should be."""
    host, port = dsn.host or "/var/run/postgresql", int(dsn.port) if dsn.port.isdigit() else 5432
    try:
        if host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(_THERE)
                local.connect(f"{host}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, port), _THERE).close()
    except (OSError, UnicodeError):
        return False
    return True


def _hint_of_state(error: psycopg.OperationalError) -> str:
    """Given a connection that failed, return what to do about it if it is a matter of the password."""
    if error.pgconn and error.pgconn.needs_password:
        return "the server asks for a password, and there is none: put it into the database URL"
    return ""


@contextmanager
def administer(dsn: Dsn) -> Iterator[Connection]:
    """Given where to go as an administrator, yield a connection as `connect` does on which a name is PostgreSQL's own.

    A database's owner sets its search path, and who may create in `public` makes functions and operators that fit
    better: what we ask there would run their code with our power.

    :raises DatabaseError: as `connect`
    """
    options = dict(dsn.options)
    options["options"] = f"{options.get('options', '')} {_OWN_NAMES}".lstrip()  # of two, the last one counts
    with connect(replace(dsn, options=tuple(options.items()))) as connection:
        yield connection


@contextmanager
def connect_directly(dsn: Dsn) -> Iterator[Connection]:
    """Given where to go, yield a connection as `connect` does, to PostgreSQL itself.

    A pooler makes up the process id that it tells its clients at the start; the server knows the one that serves them.
    The question leaves nothing in the session.

    :raises SettingsError: a pooler is between
    :raises DatabaseError: as `connect`
    """
    with connect(dsn) as connection:
        if fetch_one(connection, "SELECT pg_catalog.pg_backend_pid()")[0] != connection.info.backend_pid:
            raise SettingsError(
                f"{dsn} is reached through a pooler, where a server connection may belong to somebody else a"
                " transaction later; a snapshot needs one for itself",
                "set checkniner_backups_database_url to PostgreSQL's own port",
            )
        yield connection


def disconnect(connection: Connection) -> None:
    """Given a connection whose server does not answer, end it: whoever waits for an answer, in any thread, gets an
    error. The server is not told."""
    import psycopg

    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


@contextmanager
def translated(what: object) -> Iterator[None]:
    """Turn psycopg's errors into ours, with the name of what was worked on.

    :raises LockTimeoutError: a lock was not to be had within `lock_timeout`, a deadlock was found, or a standby has
        ended what stood in the way of its replay
    :raises DatabaseError: anything else
    """
    import psycopg

    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise LockTimeoutError(f"{what}: a table is locked: {_line(error)}", "a migration is running") from None
    except psycopg.errors.SerializationFailure as error:
        # A transaction that only reads meets it on a standby alone, as the end of a statement or of the connection.
        raise LockTimeoutError(f"{what}: {_line(error)}", CONFLICT_HINT) from None
    except psycopg.Error as error:
        hint = reading_hint(str(error)) or _HINTS.get(error.sqlstate or "", "")
        if not error.sqlstate and isinstance(error, psycopg.OperationalError):
            hint = connection_hint(str(error), what)
        gone = error.sqlstate == "3D000" or (isinstance(error, psycopg.OperationalError) and _GONE.search(str(error)))
        kind = NoDatabaseError if gone else DatabaseError
        raise kind(f"{what}: {_line(error)}", _HINTS["3D000"] if gone else hint) from None


def is_name_not_found(sqlstate: str | None) -> bool:
    """Given an SQLSTATE, return whether a name was not found in the schemas where it was looked for.

    Of a function that is found in none, but is there under the same name for other types, it may also be said that the
    call is ambiguous, or that the types do not fit.
    """
    return sqlstate in _NAME_NOT_FOUND


def reading_hint(words: str) -> str:
    """Given the server's words about a table that could not be read, whoever heard them, return what to do about it."""
    if "row-level security" in words:
        return "a backup must see every row: let the role own the table, or give it BYPASSRLS"
    return _HINTS["42501"] if "permission denied" in words else ""


def connection_hint(words: str, where: object = None) -> str:
    """Given the server's words about a connection that failed, return what to do about it.

    Such a failure has no SQLSTATE. Words of another language than English are not known: then it matters whether the
    server is there.

    :param where: the database, if it is known
    """
    if _FULL.search(words):
        return _HINTS["53300"]
    if "authentication failed" in words or "no password supplied" in words:
        return _HINTS["28P01"]
    if "pg_hba.conf" in words:
        return _HINTS["28000"]
    if _GONE.search(words):
        return _HINTS["3D000"]
    if isinstance(where, Dsn) and _is_there(where):
        return (
            "the server is there and lets nobody in, for the reason that its own words tell: a password, pg_hba.conf,"
            " the role, or no connection left"
        )
    return "is the server running, and is the address in the database URL right?"


def fetch_all(connection: Connection, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
    """Given a query, return all its rows."""
    return connection.execute(query, parameters or None).fetchall()


def fetch_one(connection: Connection, query: LiteralString, *parameters: object) -> tuple[Any, ...]:
    """Given a query that yields one row, return it.

    :raises DatabaseError: it yielded none
    """
    row = connection.execute(query, parameters or None).fetchone()
    if row is None:
        raise DatabaseError("a query that must yield a row yielded none")
    return row


def clock_ahead(connection: Connection) -> float:
    """Return the seconds by which the server's clock is ahead of this machine's."""
    query = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::pg_catalog.float8"
    return float(fetch_one(connection, query)[0]) - time.time()


def server_major(connection: Connection) -> int:
    """Return the server's major version."""
    return connection.info.server_version // 10000


def _line(error: Exception) -> str:
    """Return the error's first lines as one: psycopg adds LINE and caret lines that help nobody in a log."""
    lines = [line.strip() for line in str(error).splitlines()]
    return "; ".join(line for line in lines if line and not line.startswith(("LINE ", "^")))[:500]
