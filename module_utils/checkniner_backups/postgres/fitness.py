"""Whether a dump can be loaded into this server, by this role: found before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .session import fetch_all, server_major

if TYPE_CHECKING:
    from .session import Connection

_MAY_BECOME = "SELECT rolname FROM pg_roles WHERE pg_has_role(coalesce(%s, current_user), rolname, %s)"


def may_become(connection: Connection, role: str | None = None) -> set[str]:
    """Given a role (none: our own), return the roles that it may give something to: itself, and those it belongs to."""
    # Since 16, to be a member is not enough to hand over what one owns.
    word = "SET" if server_major(connection) >= 16 else "MEMBER"
    return {row[0] for row in fetch_all(connection, _MAY_BECOME, role, word)}
