"""A hostile manifest is refused as a whole when it is read, with the path of the field that is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from checkniner_backups.archive.manifest import parse_manifest
from checkniner_backups.errors import ArchiveError
from checkniner_backups.postgres.preflight import as_statement
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archives import TABLE

FULL: dict[str, Any] = {
    "format": 1,
    "application": "checkniner",
    "created": "2026-11-22T19:35:00Z",
    "engine": "1.0",
    "members": [{"name": "checkniner.sql", "size": 5, "sha256": "ab" * 32}],
    "database": {
        "name": "checkniner", "server_version": 150014, "server_major": 15, "owner": "checkniner", "encoding": "UTF8",
        "lc_collate": "C", "lc_ctype": "C", "locale": {"datlocprovider": "c", "daticurules": "x"},
        "connection_limit": -1, "size": 7_000_000, "privileges": [["PUBLIC", "CONNECT", False]],
        "settings": [["", "search_path=shop"]], "roles": ["checkniner"],
        "extensions": [{"name": "pg_trgm", "version": "1.6", "schema": "public", "trusted": True}],
        "owners": [{"role": "checkniner", "objects": 3, "example": "table a", "creates": True}],
        "superuser_objects": ["language x"],
    },
    "tables": [{**TABLE, "privileges": ["checkniner=r/checkniner"]}],
    "sequences": [{"schema": "public", "name": "s", "last_value": 4}],
    "fixtures": {
        "django": "4.2", "python": "3.11", "apps": {"auth": 2}, "objects": {"auth.user": 2},
        "migrations": {"auth": ["0001_initial"]}, "missing": {"shop": "no"}, "inexact": {"shop": ["infinity"]},
        "last_whole": "db/x.tar.gz",
    },
}  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, (dict, list)):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(each, (*path, key))


PATHS = list(paths(FULL))


def with_value(path: tuple[Any, ...], value: Any) -> bytes:
    if not path:
        return json.dumps(value).encode()
    changed = copy.deepcopy(FULL)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(changed).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def use(data: bytes) -> None:
    """Read the manifest as verification, restore and drill do."""
    manifest = parse_manifest(data)
    facts = manifest.database
    for table in manifest.tables:
        assert ".".join((table["schema"], table["name"], table["owner"], *table["privileges"], table["sha256"]))
        assert table["rows"] >= 0
    for each in manifest.sequences:
        assert isinstance(".".join((each["schema"], each["name"])), str)
        assert each["last_value"] is None or each["last_value"] < 2**63
    names = {*facts.get("roles", ()), *(row[0] for key in ("privileges", "settings") for row in facts.get(key, ()))}
    names |= {each["role"] for each in facts.get("owners", ())} | {each["name"] for each in facts.get("extensions", ())}
    names |= {facts.get(key, "") for key in ("name", "owner", "encoding", "lc_collate", "lc_ctype")}
    for name in names:
        assert "\0" not in name
        name.encode()
    for whose, setting in facts.get("settings", ()):
        as_statement("x", whose, setting).encode()
    for names_of_app in manifest.fixtures.get("migrations", {}).values():
        assert set(names_of_app) is not None
    manifest.to_json()


def test_a_full_manifest_is_read() -> None:
    use(json.dumps(FULL).encode())


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("sequences",), [{}], r"manifest\.sequences\[0\]\.schema is missing"),
        (("sequences", 0, "name"), 5, r"manifest\.sequences\[0\]\.name is a number, not a text"),
        (("sequences", 0, "last_value"), 2**63, r"manifest\.sequences\[0\]\.last_value is out of range"),
        (("database", "owners"), "x", r"manifest\.database\.owners is a text, not a list"),
        (("database", "owners"), [{"role": "x"}], r"manifest\.database\.owners\[0\]\.objects is missing"),
        (("database", "privileges"), [["a", "b"]], r"manifest\.database\.privileges\[0\] has 2 entries, not 3"),
        (("database", "settings", 0, 1), None, r"manifest\.database\.settings\[0\]\[1\] is null, not a text"),
        (("database", "extensions"), [{"name": "x"}], r"manifest\.database\.extensions\[0\]\.schema is missing"),
        (("database", "name"), "a\0b", r"manifest\.database\.name holds a NUL"),
        (("database", "owner"), "\ud800", r"manifest\.database\.owner is not valid Unicode"),
        (("database", "size"), True, r"manifest\.database\.size is true or false, not a number"),
        (("tables",), [{"name": "x"}], r"manifest\.tables\[0\]\.schema is missing"),
        (("tables", 0, "rows"), "1", r"manifest\.tables\[0\]\.rows is a text, not a number"),
        (("fixtures", "migrations"), {"auth": 1}, r"manifest\.fixtures\.migrations\['auth'\] is a number, not a list"),
        (("fixtures", "missing"), ["auth"], r"manifest\.fixtures\.missing is a list, not an object"),
        (("fixtures", "last_whole"), 1.5, r"manifest\.fixtures\.last_whole is a number with a fraction, not a text"),
        ((), [], "manifest is a list, not an object"),
    ],
)
def test_the_message_names_the_field(path: tuple[Any, ...], value: Any, field: str) -> None:
    with pytest.raises(ArchiveError, match=field):
        parse_manifest(with_value(path, value))


@pytest.mark.parametrize("key", ["database", "tables", "sequences", "fixtures"])
def test_unknown_keys_are_allowed(key: str) -> None:
    changed = copy.deepcopy(FULL)
    place = changed[key][0] if isinstance(changed[key], list) else changed[key]
    place["an_addition"] = [None, {"x": 1.5}]
    assert parse_manifest(json.dumps(changed).encode())


@given(path=st.sampled_from(PATHS), value=JSON)
@settings(max_examples=1500, deadline=None)
def test_any_value_in_any_place_is_refused_or_can_be_used(path: tuple[Any, ...], value: Any) -> None:
    try:
        data = with_value(path, value)
    except UnicodeEncodeError:
        return
    with suppress(ArchiveError):
        use(data)


@given(value=st.text(st.characters(), max_size=12))
@settings(max_examples=300, deadline=None)
def test_a_setting_of_a_list_can_be_anything(value: str) -> None:
    assert as_statement("db", "", f"search_path={value}")
