"""A database's encoding and locale: read, asked for when a new one is made, and compared.

They are the old database's, whatever this server's default is: template0 would say how text sorts, and what fits in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .session import fetch_all, fetch_one, server_major

if TYPE_CHECKING:
    from psycopg import sql

    from .session import Connection

_FIELDS = ("datlocprovider", "daticulocale", "datlocale", "daticurules")
_LIKE = """
SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, pg_catalog.to_jsonb(d)
FROM pg_catalog.pg_database d WHERE datname = %s
"""
_TEMPLATE = """
SELECT pg_catalog.pg_encoding_to_char(encoding) = 'UTF8' OR datctype IN ('C', 'POSIX')
FROM pg_catalog.pg_database WHERE datname = 'template0'
"""
_WORDS = {"encoding": "ENCODING", "lc_collate": "LC_COLLATE", "lc_ctype": "LC_CTYPE"}


def locale_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Given a row of pg_database, return the columns on its locale, whose names changed from release to release."""
    return {field: row[field] for field in _FIELDS if row.get(field)}


def completed(connection: Connection, metadata: Mapping[str, Any], live: str) -> Mapping[str, Any]:
    """Given the manifest's metadata, return them with encoding and locale: where they tell none, the live database's.

    Without one, UTF8: the archives of the old scripts were made by a dump of such a database, mostly.
    """
    if metadata.get("encoding"):
        return metadata
    for encoding, collate, ctype, row in fetch_all(connection, _LIKE, live):
        found = {"encoding": encoding, "lc_collate": collate, "lc_ctype": ctype, "locale": locale_fields(row)}
        return {**metadata, **found}
    found = {"encoding": "UTF8"}
    if not fetch_one(connection, _TEMPLATE)[0]:  # a locale for Latin 1 alone, for example
        found |= {"lc_collate": "C", "lc_ctype": "C"}
    return {**metadata, **found}


def options(connection: Connection, metadata: Mapping[str, Any]) -> list[sql.Composable]:
    """Given metadata, return what to say of encoding and locale in `CREATE DATABASE`."""
    from psycopg import sql

    said: list[sql.Composable] = []
    for key, word in _WORDS.items():
        if metadata.get(key):
            said.append(sql.SQL(f"{word} {{}}").format(sql.Literal(metadata[key])))
    major = server_major(connection)
    if major < 15 or not metadata.get("lc_collate"):
        return said
    provider, name, rules = _parts(metadata)
    if provider == "c":  # template0's may be another
        return [*said, sql.SQL("LOCALE_PROVIDER libc")]
    word = "icu ICU_LOCALE" if provider == "i" else "builtin BUILTIN_LOCALE"
    said.append(sql.SQL(f"LOCALE_PROVIDER {word} {{}}").format(sql.Literal(name)))
    if rules and major >= 16:
        said.append(sql.SQL("ICU_RULES {}").format(sql.Literal(rules)))
    return said


def locale_difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Given a database's metadata and the manifest's, return how the locales' providers, names or rules differ.

    Empty if they do not.
    """
    ours, theirs = _parts(found), _parts(expected)
    names = [_plain(name) for _, name, _ in (ours, theirs)]
    if (found.get("server_major", 0) >= 16) != (expected.get("server_major", 0) >= 16):
        # Since 16, a name of ICU's old style is kept as a language tag: only its language can be told again.
        names = [name.partition("-")[0] for name in names]
    if ours[0] == theirs[0] and names[0] == names[1] and ours[2] == theirs[2]:
        return ""
    return f"the database's locale is {_said(ours)}, the manifest says {_said(theirs)}"


def _parts(metadata: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return provider, name and rules. Before 15 the C library was the only provider; its name is lc_collate."""
    locale = metadata.get("locale") or {}
    provider = locale.get("datlocprovider", "c")
    name = locale.get("datlocale") or locale.get("daticulocale") or ""
    return provider, "" if provider == "c" else name, locale.get("daticurules") or ""


def _plain(name: str) -> str:
    return re.sub("[_@]", "-", name).lower()


def _said(parts: tuple[str, str, str]) -> str:
    provider, name, rules = parts
    words = {"c": "the C library's", "i": f"ICU's {name}", "b": f"the built-in {name}"}.get(provider, provider)
    return f"{words} with the rules {rules!r}" if rules else words
