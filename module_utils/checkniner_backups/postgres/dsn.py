"""A database URL taken apart.

Secrets travel to client programs in their environment (PGPASSWORD), never in an argument: arguments are public to
every user of the machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import quote, urlencode

from ..errors import SettingsError
from . import options as url_options

CONNECT_TIMEOUT = 10
"""Seconds until a server that does not answer counts as down, unless the URL says otherwise."""
APPLICATION_NAME = "checkniner-backups"
"""What an administrator sees in `pg_stat_activity`."""

_SCHEME = "postgresql"
# Django backends of third parties for PostgreSQL have schemes of their own, which an application may register.
_SCHEMES = re.compile(r"postgres|pgsql|psql|postgis|timescale")
_PLAIN = ("postgres", "postgresql", "pgsql")
_NETWORK = re.compile(r"(?<=://)[^/?#]*")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?")
_STANDARD_PORT = "5432"


@dataclass(frozen=True)
class Dsn:
    """Where a database is, and as whom to go there. An empty host is the local socket.

    :param scheme: the URL's, which chooses Django's backend
    :param options: the URL's, Django's own too: the application's next URL must say them again
    """

    database: str
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    port: str = ""
    options: tuple[tuple[str, str], ...] = ()
    scheme: str = field(default=_SCHEME, compare=False)

    def to(self, database: str) -> Dsn:
        """Given the name of another database of the same server, return the way there."""
        return replace(self, database=database)

    def completed(self, environment: Mapping[str, str]) -> Dsn:
        """Given the environment of a program, return where libpq goes there: variables say what is not said here."""
        known = {name for name, _ in self.options}
        found = [
            (name, environment[variable])
            for name, variable in url_options.VARIABLES.items()
            if name not in known and environment.get(variable)
        ]
        return replace(
            self,
            user=self.user or environment.get("PGUSER", ""),
            password=self.password or environment.get("PGPASSWORD", ""),
            host=self.host or environment.get("PGHOST", ""),
            port=self.port or environment.get("PGPORT", ""),
            options=tuple(sorted([*self.options, *found])),
        )

    def arguments(self) -> dict[str, str]:
        """Return keyword arguments for psycopg."""
        found = {
            "connect_timeout": str(CONNECT_TIMEOUT),
            **url_options.for_libpq(self.options),
            "dbname": self.database,
            "user": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "application_name": APPLICATION_NAME,
        }
        return {name: value for name, value in found.items() if value}

    def environment(self) -> dict[str, str]:
        """Return the environment for a client program: this connection, and nothing inherited but the path."""
        names = {"PGDATABASE": self.database, "PGUSER": self.user, "PGPASSWORD": self.password, "PGHOST": self.host}
        names |= {"PGPORT": self.port, "PGAPPNAME": APPLICATION_NAME, "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT)}
        names |= url_options.for_programs(self.options)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {**kept, "LC_ALL": "C.UTF-8", **{name: value for name, value in names.items() if value}}

    def url(self) -> str:
        """Return the URL again, for the application's `DATABASE_URL`."""
        login = quote(self.user, safe="")
        if self.password:
            login += ":" + quote(self.password, safe="")
        # A socket folder as host must be percent-encoded, or its slashes would end the network part.
        host = quote(self.host, safe="[]:") + (f":{self.port}" if self.port else "")
        options = list(self.options)
        if self.host != self.host.lower() or "," in self.host + self.port:
            # What reads the network part writes it small, and knows one number for a port.
            host, options = "", [*options, *(("host", self.host), ("port", self.port))]
        query = "?" + urlencode([each for each in options if each[1]], quote_via=quote) if options else ""
        return f"{self.scheme}://{login + '@' if login else ''}{host}/{quote(self.database, safe='')}{query}"

    def database_id(self) -> str:
        """Return a text that is another one for another database, server or role."""
        return f"{self}, port {self.port or 'default'}"

    def __str__(self) -> str:
        """Return a text for messages: without the password."""
        return f"database {self.database!r} on {self.host or 'the local socket'}" + (
            f" as {self.user}" if self.user else ""
        )


def is_postgres(url: str) -> bool:
    """Given a database URL, return whether its scheme is one of PostgreSQL's."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and bool(_SCHEMES.search(scheme))


def as_django_reads(url: str) -> str:
    """Given a database URL as libpq takes it, return one that Django's reader takes as well.

    That one knows a single port: several hosts with a port each become the options `host` and `port`.
    """
    network = _NETWORK.search(url)
    login, _, hosts = network[0].rpartition("@") if network else ("", "", "")
    found = [_HOST.fullmatch(each) for each in hosts.split(",")]
    several = len(found) > 1 and all(found)
    if not network or not several or not any(each and (each[2] or "[" in each[1]) for each in found[:-1]):
        return url
    hosts = ",".join(each[1].strip("[]") for each in found if each)
    ports = ",".join(each[2] or _STANDARD_PORT for each in found if each)
    head, (tail, _, query) = url[: network.start()], url[network.end() :].partition("?")
    options = urlencode({"host": hosts, "port": ports}, quote_via=quote)
    return f"{head}{login + '@' if login else ''}{tail}?{query + '&' if query else ''}{options}"


def parse_url(url: str) -> Dsn:
    """Given a `DATABASE_URL`, return its parts.

    :raises SettingsError: it cannot be understood, is not PostgreSQL's, or has an option that cannot be passed on
    """
    import dj_database_url  # a few hundredths of a second that `--help` need not pay

    try:
        scheme, _, rest = as_django_reads(url).partition("://")
        ours = is_postgres(url)
        parts: dict[str, object] = dict(dj_database_url.parse(f"{_SCHEME}://{rest}" if ours else url))
    except Exception as error:  # noqa: BLE001 - the library raises several unrelated kinds
        hint = "write it as postgresql://user:password@host:port/database"
        raise SettingsError(f"the database URL cannot be understood: {type(error).__name__}", hint) from None
    if not ours:
        raise SettingsError("the database URL is not one of PostgreSQL", "this tool backs up PostgreSQL only")
    if not parts.get("NAME"):
        raise SettingsError("the database URL names no database", "write it as postgresql://user@host:port/database")
    options = cast("dict[str, object]", parts.get("OPTIONS") or {})
    for name, place in url_options.PARTS.items():
        # As Django takes them: a part of the URL counts more, but for the database's name.
        if isinstance(options.get(name), list):
            continue  # refused below
        if (value := options.pop(name, None)) and (name == "dbname" or not parts.get(place)):
            parts[place] = value
    return Dsn(
        database=str(parts["NAME"]),
        user=str(parts.get("USER") or ""),
        password=str(parts.get("PASSWORD") or ""),
        host=str(parts.get("HOST") or ""),
        port=str(parts.get("PORT") or ""),
        options=url_options.checked(options),
        scheme=_SCHEME if scheme in _PLAIN else scheme,
    )
