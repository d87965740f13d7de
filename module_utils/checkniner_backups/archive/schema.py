"""The form of a manifest: every field that a reader uses later has its type here, and all are checked at once.

A manifest comes from outside. Whoever reads a field of a parsed one (verification, restore, drill) can take it as it
stands. Keys that are not listed here are allowed: a later release may add some.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ArchiveError

DAMAGED = "take another archive; if they are all like this, restore by hand as docs/restore-by-hand.md says"

Check = Callable[[Any, str], None]
"""Is given a value and its path, and raises ArchiveError where the value has another form."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    type(None): "null",
}


def refuse(path: str, problem: str) -> ArchiveError:
    """Given the path of a field and what is wrong with it, return the error to raise."""
    # Keys of an object may be of any length, and stand in the path.
    shown = path if len(path) <= 200 else f"{path[:200]}..."
    return ArchiveError(f"the archive's manifest is wrong: {shown} {problem}", DAMAGED)


def _typed(kind: type) -> Check:
    def check(value: Any, path: str) -> None:
        if type(value) is not kind:  # `True` is no number here
            raise refuse(path, f"is {_NAMES[type(value)]}, not {_NAMES[kind]}")

    return check


def text(value: Any, path: str) -> None:
    """Accept a text that PostgreSQL can hold: no NUL, and nothing that UTF-8 cannot express."""
    _typed(str)(value, path)
    if "\0" in value:
        raise refuse(path, "holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refuse(path, "is not valid Unicode") from None


def sha256(value: Any, path: str) -> None:
    """Accept a SHA-256 digest in lowercase hex."""
    text(value, path)
    if not _SHA256.fullmatch(value):
        raise refuse(path, "is not a SHA-256 digest in lowercase hex")


def between(least: int, most: int) -> Check:
    """Given two bounds, return a check that accepts the whole numbers from one to the other."""

    def check(value: Any, path: str) -> None:
        _typed(int)(value, path)
        if not least <= value <= most:
            raise refuse(path, "is out of range")

    return check


def list_of(item: Check) -> Check:
    """Given a check, return one that accepts a list of what the check accepts."""

    def check(value: Any, path: str) -> None:
        _typed(list)(value, path)
        for index, each in enumerate(value):
            item(each, f"{path}[{index}]")

    return check


def row_of(*columns: Check) -> Check:
    """Given one check for each column, return one that accepts a list of exactly these columns."""

    def check(value: Any, path: str) -> None:
        _typed(list)(value, path)
        if len(value) != len(columns):
            raise refuse(path, f"has {len(value)} entries, not {len(columns)}")
        for index, (column, each) in enumerate(zip(columns, value)):  # noqa: B905 - the lengths are equal
            column(each, f"{path}[{index}]")

    return check


def mapping_of(item: Check) -> Check:
    """Given a check, return one that accepts an object with any keys, and values that the check accepts."""

    def check(value: Any, path: str) -> None:
        _typed(dict)(value, path)
        for key, each in value.items():
            text(key, f"{path}[{key!r}]")
            item(each, f"{path}[{key!r}]")

    return check


def or_null(item: Check) -> Check:
    """Given a check, return one that accepts null too."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            item(value, path)

    return check


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Given a check for each required and each optional key, return one that accepts an object of that form.

    Further keys are allowed.
    """
    checks = {**required, **(optional or {})}

    def check(value: Any, path: str) -> None:
        _typed(dict)(value, path)
        for key, item in checks.items():
            if key in value:
                item(value[key], f"{path}.{key}")
            elif key in required:
                raise refuse(f"{path}.{key}", "is missing")

    return check


_COUNT = between(0, 2**63 - 1)
_NUMBER = between(-(2**63), 2**63 - 1)
_SMALL = between(-(2**31), 2**31 - 1)
_BOOL = _typed(bool)

_MEMBER = fields({"name": text, "size": _COUNT, "sha256": sha256})
_TABLE = fields(
    {"schema": text, "name": text, "rows": _COUNT, "sha256": sha256, "owner": text, "privileges": list_of(text)}
)
_SEQUENCE = fields({"schema": text, "name": text, "last_value": or_null(_NUMBER)})
_EXTENSION = fields({"name": text, "schema": text, "trusted": _BOOL}, {"version": text})
_OWNER = fields({"role": text, "objects": _COUNT, "example": text, "creates": _BOOL})
_EXTENSION_TABLE = fields({"schema": text, "name": text, "extension": text, "rows": _COUNT, "sha256": sha256})
# All optional: an archive of an earlier release tells less, and one that was made by hand may tell nothing.
_DATABASE = fields(
    {},
    {
        "name": text,
        "server_version": _SMALL,
        "server_major": _SMALL,
        "owner": text,
        "encoding": text,
        "lc_collate": text,
        "lc_ctype": text,
        "locale": fields({}, dict.fromkeys(("datlocprovider", "daticulocale", "datlocale", "daticurules"), text)),
        "connection_limit": _SMALL,
        "size": _COUNT,
        "privileges": list_of(row_of(text, text, _BOOL)),
        "settings": list_of(row_of(text, text)),
        "roles": list_of(text),
        "role_settings": list_of(row_of(text, text)),
        "tablespaces": list_of(text),
        "schema_sha256": sha256,
        "extensions": list_of(_EXTENSION),
        "owners": list_of(_OWNER),
        "superuser_objects": list_of(text),
        "comment": or_null(text),
        "extension_comments": mapping_of(or_null(text)),
        "search_path": list_of(text),
        "extension_rows": list_of(row_of(text, text, _COUNT)),
    },
)
_FIXTURES = fields(
    {},
    {
        "django": text,
        "python": text,
        "apps": mapping_of(_COUNT),
        "objects": mapping_of(_COUNT),
        "migrations": mapping_of(list_of(text)),
        "missing": mapping_of(text),
        "inexact": mapping_of(list_of(text)),
        "last_whole": text,
        "no_model": list_of(text),
    },
)
check_version = fields({"format": between(1, 2**31 - 1)})
"""Accepts an object that tells its format, which decides how the rest is read."""
check_manifest = fields(
    {
        "format": between(1, 2**31 - 1),
        "application": text,
        "created": text,
        "engine": text,
        "members": list_of(_MEMBER),
        "database": _DATABASE,
        "tables": list_of(_TABLE),
        "sequences": list_of(_SEQUENCE),
        "fixtures": _FIXTURES,
    },
    {
        "large_objects": fields({"count": _COUNT, "sha256": sha256}),
        "extension_tables": list_of(_EXTENSION_TABLE),
        "rehearsal": mapping_of(text),
        "name": text,
        "origin": fields({}, {"fingerprint": text, "host": text}),
    },
)
"""Accepts the whole manifest, given as parsed JSON."""
