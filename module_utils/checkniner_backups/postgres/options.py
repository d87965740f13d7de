"""The options of a database URL: whose they are, and how PostgreSQL's client programs are told of them.

One URL serves Django, psycopg, `psql` and `pg_dump`: all must go to the same place in the same way, or we say why not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import SettingsError

VARIABLES = {
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssdelegation": "PGGSSDELEGATION",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "hostaddr": "PGHOSTADDR",
    "krbsrvname": "PGKRBSRVNAME",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "service": "PGSERVICE",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""libpq's options and their environment variables. https://www.postgresql.org/docs/current/libpq-envars.html"""

PARTS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
"""Options that say what has a place of its own in a URL, with Django's names for those places."""

# They have no variable, and change neither where a program goes nor what it reads there.
_KEEPALIVE = ("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
# Django's own and psycopg's, whatever reads the URL: none changes what we read. A connection's name and encoding are
# ours to choose.
_LEFT_OUT = (
    "application_name", "atomic_requests", "autocommit", "client_encoding", "conn_health_checks", "conn_max_age",
    "disable_server_side_cursors", "fallback_application_name", "isolation_level", "pool", "prepare_threshold",
    "server_side_binding",
)  # fmt: skip
_HINT = "leave it out of the URL; backups read through checkniner_backups_database_url where that is set"


def checked(found: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Given a URL's options by name, return them, sorted, if all who connect can be told of them.

    :raises SettingsError: one cannot be passed on, or stands there twice
    """
    for name, value in found.items():
        if isinstance(value, list):
            raise SettingsError(f"the database URL has the option {name!r} twice", "leave one of them out")
        if name == "assume_role":
            raise SettingsError(
                "the database URL has the option 'assume_role': Django changes to another role after connecting,"
                " PostgreSQL's own programs do not",
                "let the URL name that role itself, with a password of its own",
            )
        if not (name in VARIABLES or name in _KEEPALIVE or name.lower() in _LEFT_OUT):
            raise SettingsError(
                f"the database URL has the option {name!r}, which PostgreSQL's own programs cannot be told", _HINT
            )
    return tuple(sorted((name, str(value)) for name, value in found.items()))


def check_one_server(host: str, options: Iterable[tuple[str, str]]) -> None:
    """Given the host of a URL, of which there may be several, and its options, return if all who connect in turn come
    to the same server as long as it is there: a snapshot is one server's.

    :raises SettingsError: they may not
    """
    if "," not in host:
        return
    found = dict(options)
    wanted = found.get("target_session_attrs", "any")
    if wanted == "prefer-standby":
        raise SettingsError(
            "the database URL names several hosts with target_session_attrs=prefer-standby, which psycopg and"
            " PostgreSQL's own programs understand in different ways",
            "name the hosts in the order of your preference, the standbys first, and leave target_session_attrs out",
        )
    if found.get("load_balance_hosts") == "random" and wanted not in ("primary", "read-write"):
        raise SettingsError(
            "the database URL names several hosts with load_balance_hosts=random: the readers of one backup would meet"
            " different servers",
            "leave load_balance_hosts out of checkniner_backups_database_url",
        )


def for_libpq(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Given a URL's options, return those that are libpq's."""
    return {name: value for name, value in options if name in VARIABLES or name in _KEEPALIVE}


def for_programs(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Given a URL's options, return the environment variables that tell a client program of them."""
    return {VARIABLES[name]: value for name, value in options if name in VARIABLES}
