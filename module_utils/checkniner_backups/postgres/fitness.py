"""Whether a dump can be loaded into this server, by this role: found before anything is made.

What is looked at are the manifest's facts. An archive of an earlier release tells less; its load then fails half-way.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .dsn import Dsn
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
_SHOWN = 5


def may_become(connection: Connection, role: str | None = None) -> set[str]:
    """Given a role (none: our own), return the roles that it may give something to: itself, and those it belongs to."""
    # Since 16, to be a member is not enough to hand over what one owns.
    word = "SET" if server_major(connection) >= 16 else "MEMBER"
    return {row[0] for row in fetch_all(connection, _MAY_BECOME, role, word)}


def loading_problems(dsn: Dsn, facts: Mapping[str, Any], role: str) -> list[str]:
    """Given a database, its facts and the application's role, return what `unfit` does.

    :raises DatabaseError: the server
    """
    with connect(dsn) as connection:
        return unfit(connection, facts, role or dsn.user)


def missing_for(
    connection: Connection,
    facts: Mapping[str, Any],
    role: str,
    live: str = "",
    *,
    sql: bool = True,
    skip_settings: bool = False,
) -> list[str]:
    """Given the manifest's `database` facts, return what this server lacks for it, one text each.

    :param role: who loads it
    :param live: name of the live database
    :param sql: whether it is SQL that is loaded: fixtures need no roles
    :param skip_settings: whether the database's own settings are left out
    """
    problems = []
    available = {row[0] for row in fetch_all(connection, "SELECT name FROM pg_catalog.pg_available_extensions")}
    for extension in facts.get("extensions", ()):
        if extension["name"] not in available:
            problems.append(f"extension {extension['name']} is not installed on this server")
    if not sql:
        return problems
    if skip_settings:
        facts = {**facts, "settings": []}
    theirs, ours = facts.get("server_major", 0), server_major(connection)
    roles = {row[0] for row in fetch_all(connection, _ROLES)}
    named = {*facts.get("roles", ()), *(row[0] for key in ("privileges", "settings") for row in facts.get(key, ()))}
    # The database's old owner need not be here, unless something in it is to be its own.
    named = named - {facts.get("owner", "")} | {each["role"] for each in facts.get("owners", ())}
    absent = [f'role "{name}" is missing: CREATE ROLE "{name}"' for name in sorted(named - roles - {"PUBLIC", ""})]
    if theirs > ours:
        absent.insert(0, f"the dump is of PostgreSQL {theirs}, this server is {ours}, which is older")
    return absent + problems + unfit(connection, facts, role, live)


def unfit(connection: Connection, facts: Mapping[str, Any], role: str, live: str = "") -> list[str]:
    """Given the facts of a database, return what would stop this role from loading its SQL, one text each.

    Roles that are not on this server are not told here.

    :param live: name of the live database; empty for the one that the facts are of
    """
    roles = {name: (superuser, creates) for name, superuser, creates in fetch_all(connection, _ROLES)}
    if role not in roles or roles[role][0]:
        return []
    problems = []
    own = may_become(connection, role)
    for each in facts.get("owners", ()):
        name = each["role"]
        if name in own or name not in roles:
            continue
        problem = f'role "{name}" owns {each["objects"]} objects of the dump, {each["example"]} among them, and '
        if roles[name][0]:
            problem += f'is a superuser: ALTER ... OWNER TO "{role}", which is the role that loads, and save again'
        else:
            problem += f'the role that loads is no member of it: GRANT "{name}" TO "{role}"'
        problems.append(problem)
    if objects := facts.get("superuser_objects", ()):
        more = f" and {len(objects) - _SHOWN} more" if len(objects) > _SHOWN else ""
        problems.append(f"these need a superuser to be made: {', '.join(objects[:_SHOWN])}{more}")
    return problems + _settings(connection, facts, role, live or facts.get("name", ""), creates_roles=roles[role][1])


def _settings(
    connection: Connection, facts: Mapping[str, Any], role: str, live: str, *, creates_roles: bool
) -> list[str]:
    settings = facts.get("settings", ())
    contexts = dict(fetch_all(connection, _CONTEXTS)) if settings else {}
    problems = []
    for whose, setting in settings:
        name = setting.partition("=")[0]
        remedy = f"leave it out with checkniner_backups_skip_settings=true, then: {as_statement(live, whose, setting)}"
        # The application's own settings, with a dot, are in no list; to make them for a database needs a superuser too.
        context = contexts.get(name, "user" if name in _HIDDEN else "")
        if whose not in ("", role) and not creates_roles:
            problems.append(f'the setting {setting!r} of role "{whose}" needs a superuser; {remedy}')
        elif context not in _USERS:
            known = context or "." in name
            if known and server_major(connection) >= 15:
                if fetch_one(connection, _MAY_SET, role, name)[0]:
                    continue
                remedy = f'GRANT SET ON PARAMETER {name} TO "{role}", or {remedy}'
            unknown = "" if known else ", or is not known to this server"
            problems.append(f"the setting {setting!r} needs a superuser{unknown}; {remedy}")
    return problems


def as_statement(database: str, role: str, setting: str) -> str:
    """Given a database, a role (may be empty) and `name=value`, return the statement that an administrator can run."""
    from psycopg import sql

    name, _, value = setting.partition("=")
    whom = sql.SQL("DATABASE {}").format(sql.Identifier(database))
    if role:
        whom = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(database))
    values = next(csv.reader([value], skipinitialspace=True), [""]) if name in _LISTS else [value]
    literals = sql.SQL(", ").join(sql.Literal(each) for each in values)
    return sql.SQL("ALTER {} SET {} TO {}").format(whom, sql.Identifier(*name.split(".")), literals).as_string(None)
