"""The database's own settings, privileges and comments, which a plain dump does not hold, put back by its owner.

By the owner, never by a superuser: they come out of an archive, and a setting such as `session_preload_libraries` in a
superuser's hands would be a way to run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError, RestoreError
from .dsn import Dsn
from .extensions import comment_database, comment_extensions
from .preflight import as_statement, leaving_out
from .privileges import PRIVILEGES, give, take_back
from .session import connect, translated

if TYPE_CHECKING:
    from .session import Connection


def apply_properties(dsn: Dsn, metadata: Mapping[str, Any], live: str = "") -> None:
    """Given a new database, as its owner, and the manifest's metadata of the database, put settings, privileges and
    comments back.

    :param live: what the database will be called, for messages; empty for the name that the metadata tell
    :raises RestoreError: one needs more than the owner's rights; the message says what an administrator can run
    """
    from psycopg import sql

    name = sql.Identifier(dsn.database)
    with connect(dsn) as connection:
        connection.execute("SET default_transaction_read_only = off")  # a role may have it on
        for role, setting in metadata.get("settings", ()):
            _apply_setting(connection, dsn.database, role, setting, live or metadata.get("name", dsn.database))
        take_back(connection, metadata)
        comment_database(connection, metadata)
        comment_extensions(connection, metadata)
        if metadata.get("connection_limit", -1) != -1:
            limit = sql.Literal(int(metadata["connection_limit"]))
            connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, limit))
        if "privileges" not in metadata:
            return
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for grantee, privilege, grantable in metadata["privileges"]:
            if grantee == metadata.get("owner") or privilege not in PRIVILEGES:
                continue
            give(connection, dsn.database, grantee, privilege, grantable=bool(grantable))


def _apply_setting(connection: Connection, database: str, role: str, setting: str, live: str) -> None:
    # Not SET ... FROM CURRENT: that writes 60000 as 1min, and what is compared afterwards is the text.
    try:
        with translated(f"setting {setting.partition('=')[0]}"):
            connection.execute(as_statement(database, role, setting).encode())
    except DatabaseError as error:
        raise RestoreError(
            f"the setting {setting!r} of the database cannot be put back: {error.message}",
            f"it needs a superuser: {leaving_out(live, role, setting)}",
        ) from None
