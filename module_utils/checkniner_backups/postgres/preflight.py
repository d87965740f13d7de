"""Whether a dump can be loaded into this server, by this role: found before anything is made.

What is looked at are the manifest's metadata. An archive of an earlier release tells less; its load then fails
half-way.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import printable
from .dsn import Dsn
from .extensions import unloadable_rows
from .quoting import identifier, literal
from .session import connect, fetch_all, fetch_one, server_major

if TYPE_CHECKING:
    from .session import Connection

_MAY_BECOME = """
SELECT rolname FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(coalesce(%s, current_user), rolname, %s)
"""
_ROLES = "SELECT rolname, rolsuper, rolcreaterole FROM pg_catalog.pg_roles"
_CONTEXTS = "SELECT name, context FROM pg_catalog.pg_settings"
_MAY_SET = "SELECT pg_catalog.has_parameter_privilege(%s, %s, 'SET')"
_USERS = ("user", "backend")
"""Settings that anybody may make for a database of theirs."""
_HIDDEN = ("role", "session_authorization")
"""Settings that pg_settings does not show, and anybody may make."""
_LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
"""Settings whose stored text is a list of quoted names."""
_CODE = (
    "dynamic_library_path", "jit_provider", "local_preload_libraries", "session_preload_libraries",
    "shared_preload_libraries",
)  # fmt: skip
"""Settings that make sessions load code."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*\Z")
_SHOWN = 5
# Who may act as one of these may do more than with an application's own tables.
_POWERFUL = """
SELECT r.rolname FROM pg_catalog.pg_roles r
WHERE EXISTS (
    SELECT FROM pg_catalog.pg_roles p
    WHERE (p.rolsuper OR p.rolcreaterole OR p.rolreplication OR p.rolbypassrls OR p.rolname ~ '^pg_')
      AND p.rolname <> 'pg_database_owner' AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'))
"""


def may_become(connection: Connection, role: str | None = None) -> set[str]:
    """Given a role (none: our own), return the roles that it may give something to: itself, and those it belongs to."""
    # Since 16, to be a member is not enough to hand over what one owns.
    word = "SET" if server_major(connection) >= 16 else "MEMBER"
    return {row[0] for row in fetch_all(connection, _MAY_BECOME, role, word)}


def loading_problems(dsn: Dsn, metadata: Mapping[str, Any], role: str) -> list[str]:
    """Given a database, its metadata and the application's role, return what `unfit` does.

    :raises DatabaseError: the server
    """
    with connect(dsn) as connection:
        return unfit(connection, metadata, role or dsn.user) + unloadable_rows(connection, role or dsn.user)


def missing_for(
    connection: Connection,
    metadata: Mapping[str, Any],
    role: str,
    live: str = "",
    *,
    sql: bool = True,
    skip_settings: bool = False,
) -> list[str]:
    """Given the manifest's metadata of the database, return what this server lacks for it, one text each.

    :param role: who loads it
    :param live: name of the live database
    :param sql: whether it is SQL that is loaded: fixtures need no roles
    :param skip_settings: whether the database's own settings are left out
    """
    problems = []
    available = {row[0] for row in fetch_all(connection, "SELECT name FROM pg_catalog.pg_available_extensions")}
    for extension in metadata.get("extensions", ()):
        if extension["name"] not in available:
            problems.append(f"extension {printable(extension['name'])} is not installed on this server")
    if not sql:
        return problems
    if skip_settings:
        metadata = {**metadata, "settings": []}
    theirs, ours = metadata.get("server_major", 0), server_major(connection)
    roles = {row[0] for row in fetch_all(connection, _ROLES)}
    named = {
        *metadata.get("roles", ()),
        *(row[0] for key in ("privileges", "settings") for row in metadata.get(key, ())),
    }
    # The database's old owner need not be here, unless something in it is to be its own.
    named = named - {metadata.get("owner", "")} | {each["role"] for each in metadata.get("owners", ())}
    absent = [_absent(name) for name in sorted(named - roles - {"PUBLIC", ""})]
    if theirs > ours:
        absent.insert(0, f"the dump is of PostgreSQL {theirs}, this server is {ours}, which is older")
    return absent + problems + unfit(connection, metadata, role, live)


def _absent(role: str) -> str:
    quoted = identifier(role)
    # Nobody can make one of PostgreSQL's own.
    remedy = "another release of PostgreSQL has it" if role.startswith("pg_") else f"CREATE ROLE {quoted}"
    return f"role {quoted} is missing: {remedy}"


def unfit(connection: Connection, metadata: Mapping[str, Any], role: str, live: str = "") -> list[str]:
    """Given the metadata of a database, return what would stop this role from loading its SQL, one text each.

    Roles that are not on this server are not told here.

    :param live: name of the live database; empty for the one that the metadata is of
    """
    roles = {name: (superuser, creates) for name, superuser, creates in fetch_all(connection, _ROLES)}
    if role not in roles or roles[role][0]:
        return []
    problems = []
    own, loader = may_become(connection, role), identifier(role)
    powerful = {row[0] for row in fetch_all(connection, _POWERFUL)}
    for each in metadata.get("owners", ()):
        name = each["role"]
        if name in own or name not in roles:
            continue
        problem = (
            f"role {identifier(name)} owns {each['objects']} objects of the dump, {each['example']} among them, and "
        )
        if name in powerful:
            kind = "a superuser" if roles[name][0] else "one with powers that an application must not have"
            problem += f"is {kind}: ALTER ... OWNER TO {loader}, which is the role that loads, and save again"
        else:
            problem += "the role that loads is no member of it:"
            problem += f" if it may act as that role, GRANT {identifier(name)} TO {loader}"
        problems.append(printable(problem))
    if objects := metadata.get("superuser_objects", ()):
        more = f" and {len(objects) - _SHOWN} more" if len(objects) > _SHOWN else ""
        problems.append(f"these need a superuser to be made: {printable(', '.join(objects[:_SHOWN]))}{more}")
    return problems + _settings(
        connection, metadata, role, live or metadata.get("name", ""), creates_roles=roles[role][1]
    )


def _settings(
    connection: Connection, metadata: Mapping[str, Any], role: str, live: str, *, creates_roles: bool
) -> list[str]:
    settings = metadata.get("settings", ())
    contexts = dict(fetch_all(connection, _CONTEXTS)) if settings else {}
    problems = []
    for whose, setting in settings:
        name = setting.partition("=")[0]
        remedy = leaving_out(live, whose, setting)
        # The application's own settings, with a dot, are in no list; to make them for a database needs a superuser too.
        context = contexts.get(name, "user" if name in _HIDDEN else "")
        if whose not in ("", role) and not creates_roles:
            problems.append(f"the setting {setting!r} of role {identifier(whose)} needs a superuser; {remedy}")
        elif context not in _USERS:
            known = context or "." in name
            if known and server_major(connection) >= 15:
                if fetch_one(connection, _MAY_SET, role, name)[0]:
                    continue
                if name.lower() not in _CODE:
                    parameter = name if _PLAIN.match(name) else ".".join(map(identifier, name.split(".")))
                    remedy = f"GRANT SET ON PARAMETER {parameter} TO {identifier(role)}, or {remedy}"
            unknown = "" if known else ", or is not known to this server"
            problems.append(f"the setting {setting!r} needs a superuser{unknown}; {remedy}")
    return problems


def leaving_out(database: str, role: str, setting: str) -> str:
    """Given a database, a role (may be empty) and a setting of an archive, return what to do where it is refused."""
    condition = "then, if you want what the archive says"
    if setting.partition("=")[0].lower() in _CODE:
        condition = "for the archive names what every session would load; only if you know and trust that"
    statement = as_statement(database, role, setting)
    return f"leave it out with checkniner_backups_skip_settings=true, {condition}: {statement}"


def as_statement(database: str, role: str, setting: str) -> str:
    """Given a database, a role (may be empty) and `name=value`, return the statement that makes the setting."""
    name, _, value = setting.partition("=")
    whom = f"ROLE {identifier(role)} IN " if role else ""
    values = [value]
    if name in _LISTS:
        # What no list can be comes from a manifest, not from a server: the server refuses it then.
        with suppress(csv.Error):
            values = next(csv.reader([value], skipinitialspace=True), [""])
    parameter, words = ".".join(map(identifier, name.split("."))), ", ".join(map(literal, values))
    return f"ALTER {whom}DATABASE {identifier(database)} SET {parameter} TO {words}"
