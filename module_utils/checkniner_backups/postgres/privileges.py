"""Who may do what with a database as a whole: compared, and put right when it changes hands.

`ALTER DATABASE ... OWNER TO` rewrites what the old owner had to the new one. A new database belongs to the role that
loads it, the application's; handed to somebody else, it would lock the application out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import RestoreError
from .preflight import may_become
from .session import fetch_all, fetch_one

if TYPE_CHECKING:
    from psycopg import sql

    from .session import Connection

    Granted = dict[tuple[str, str], bool]
    """Grantee and privilege, and whether it may be granted on."""

PRIVILEGES = ("CONNECT", "CREATE", "TEMPORARY")
PUBLIC = "PUBLIC"

_ACL = """
SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d
CROSS JOIN pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d'::"char", d.datdba))) a
LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s AND (a.grantee = 0 OR r.oid IS NOT NULL)
"""
_CREATES = "SELECT pg_catalog.has_schema_privilege(%s, 'public', 'CREATE')"
_ROLE = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s"
_OTHERS = """
SELECT DISTINCT a.usename::pg_catalog.text FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = pg_catalog.current_database() AND r.rolname <> current_user AND NOT r.rolsuper ORDER BY 1
"""
_OWNER = "SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = %s"


def granted(rows: Iterable[Sequence[Any]], without: Collection[str] = ()) -> Granted:
    """Given rows of grantee, privilege and grant option, return them in a form that can be compared.

    Two roles may have granted the same; after a restore it is the owner who did.

    :param without: grantees to leave out: an owner's rights come with the ownership
    """
    found: Granted = {}
    for grantee, privilege, grantable in rows:
        if grantee not in without:
            found[grantee, privilege] = bool(grantable) or found.get((grantee, privilege), False)
    return found


def listed(privileges: Granted) -> str:
    """Given privileges, return them as words for a message."""
    words = [f"{grantee}: {name}{' (grantable)' if more else ''}" for (grantee, name), more in privileges.items()]
    return ", ".join(sorted(words)) or "none"


def let_own(connection: Connection, role: str, metadata: Mapping[str, Any]) -> None:
    """Given a connection to a new, empty database and who will load it, let others own tables in its schema `public`.

    `ALTER TABLE ... OWNER TO` asks for it, and the dump's own GRANTs stand at its end. `take_back` undoes it.
    """
    from psycopg import sql

    owners = {each["role"] for each in metadata.get("owners", ())} & may_become(connection, role) - {role}
    for owner in sorted(owners):
        if not fetch_one(connection, _CREATES, owner)[0]:
            connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(owner)))


def take_back(connection: Connection, metadata: Mapping[str, Any]) -> None:
    """Given a connection to a loaded database, as its owner, undo `let_own` for those that had no such right."""
    from psycopg import sql

    for each in metadata.get("owners", ()):
        if not each["creates"] and fetch_all(connection, _ROLE, each["role"]):
            connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(sql.Identifier(each["role"])))


def shut_out(connection: Connection) -> list[str]:
    """Given a connection to a new database, as its owner, keep all others out that are no superusers; return the names
    of those that are in already.

    While a dump is loaded with a search path, whoever may create in a schema of it (everybody in `public`, before
    PostgreSQL 15) could have their functions called by the owner. `apply_properties` puts the privileges back.
    """
    from psycopg import sql

    name = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
    return [row[0] for row in fetch_all(connection, _OTHERS)]


def give(connection: Connection, name: str, grantee: str, privilege: str, *, grantable: bool) -> None:
    """Given a database, grant one of `PRIVILEGES` on it; `grantable`: the grantee may grant it on."""
    statement = "GRANT {} ON DATABASE {} TO {}" + (" WITH GRANT OPTION" if grantable else "")
    _run(connection, statement, privilege, name, grantee)


def hand_over(connection: Connection, name: str, live: str, role: str, metadata: Mapping[str, Any]) -> None:
    """Given a new database, let it belong to whom the live one belongs to, or else to whom the manifest names.

    Its privileges are then those of the manifest, or else the live database's. The application's role also keeps what
    the live database gives it, and may connect in any case.

    :param role: the application's role
    :param metadata: the manifest's metadata of the database; may be empty
    :raises RestoreError: the privileges are others in the end; nothing was changed
    """
    from psycopg import sql

    with connection.transaction():
        roles = {row[0] for row in fetch_all(connection, "SELECT rolname FROM pg_catalog.pg_roles")}
        owner = _owner(connection, live) or metadata.get("owner", "")
        if owner not in roles:
            owner = _owner(connection, name)
        wanted = _wanted(connection, name, live, role, metadata)
        wanted = {key: more for key, more in wanted.items() if key[0] != owner and key[0] in {*roles, PUBLIC}}
        if owner != _owner(connection, name):
            statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(owner)))
        _make(connection, name, owner, wanted)
        if role in roles and not _may_connect(connection, role, name):
            wanted[role, "CONNECT"] = False
            _make(connection, name, owner, wanted)
        found = granted(fetch_all(connection, _ACL, name), {owner})
        if found != wanted or (role in roles and not _may_connect(connection, role, name)):
            raise RestoreError(
                f"privileges on the database {name} are {listed(found)}; they should be {listed(wanted)}",
                "the running database is unchanged; look whether the administrator's role may grant them",
            )


def _wanted(connection: Connection, name: str, live: str, role: str, metadata: Mapping[str, Any]) -> Granted:
    ours = granted(fetch_all(connection, _ACL, live))
    if "privileges" in metadata:
        # The old owner's rights came with the ownership, and go with it; the application keeps its own.
        wanted = granted(metadata["privileges"], {metadata.get("owner", "")} - {role})
    else:
        wanted = ours or granted(fetch_all(connection, _ACL, name))
    kept = {key: more for key, more in ours.items() if key[0] == role}
    return {**wanted, **{key: more or wanted.get(key, False) for key, more in kept.items()}}


def _make(connection: Connection, name: str, owner: str, wanted: Granted) -> None:
    """Let the privileges on a database be these; the owner's stay."""
    found = granted(fetch_all(connection, _ACL, name), {owner})
    for grantee, privilege in found.keys() - wanted.keys():
        _run(connection, "REVOKE {} ON DATABASE {} FROM {}", privilege, name, grantee)
    for (grantee, privilege), more in wanted.items():
        if privilege in PRIVILEGES and found.get((grantee, privilege)) != more:
            if found.get((grantee, privilege)):
                _run(connection, "REVOKE GRANT OPTION FOR {} ON DATABASE {} FROM {}", privilege, name, grantee)
            else:
                give(connection, name, grantee, privilege, grantable=more)


def _run(connection: Connection, statement: str, privilege: str, name: str, grantee: str) -> None:
    from psycopg import sql

    parts = (sql.SQL(_known(privilege)), sql.Identifier(name), _grantee(grantee))
    connection.execute(sql.SQL(statement).format(*parts))


def _known(privilege: str) -> Any:
    """It stands in a statement as it is, and comes from an archive: one of ours, or an error."""
    return PRIVILEGES[PRIVILEGES.index(privilege)]


def _grantee(name: str) -> sql.Composable:
    from psycopg import sql

    return sql.SQL(PUBLIC) if name == PUBLIC else sql.Identifier(name)


def _owner(connection: Connection, name: str) -> str:
    return str(next((row[0] for row in fetch_all(connection, _OWNER, name)), ""))


def _may_connect(connection: Connection, role: str, name: str) -> bool:
    query = "SELECT pg_catalog.has_database_privilege(%s, %s, 'CONNECT')"
    return bool(fetch_one(connection, query, role, name)[0])
