"""The manifest: what is written is read back, and what is wrong is refused with words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from checkniner_backups.archive.manifest import Manifest, Member, parse_manifest
from checkniner_backups.errors import ArchiveError

from tests.archives import CONTENT, CREATED, TABLE, manifest_for

WRONG_NAMES = [
    "../etc/passwd", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "-rf", "a\nb", "a\0b", "a\x1b[0m", "a\\b",
    "x" * 246, "\u202etxt.sql", "manifest.json",
]  # fmt: skip


def changed(**changes: Any) -> bytes:
    value = json.loads(manifest_for(CONTENT).to_json())
    value.update(changes)
    return json.dumps(value).encode()


def test_it_comes_back_as_it_was() -> None:
    manifest = Manifest(
        "checkniner",
        CREATED,
        (Member("übung.sql", 3, "ab" * 32),),
        {"name": "x"},
        ({**TABLE, "an_addition": 1},),
        ({"schema": "public", "name": "s", "last_value": None},),
        {"an_addition": 1},
    )
    assert parse_manifest(manifest.to_json()) == manifest


def test_its_time_is_utc_with_seconds() -> None:
    assert json.loads(manifest_for(CONTENT).to_json())["created"] == "2026-11-22T19:35:00Z"


def test_a_newer_format_asks_for_an_update() -> None:
    with pytest.raises(ArchiveError, match=r"(?s)format 3.*HINT: update checkniner-backups to the version .*7\.0"):
        parse_manifest(changed(format=3, engine="7.0"))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"null", b"{", b"\xff", b"{}", b"[" * 100_000, b'{"format": NaN}',
        changed(format=0), changed(format=True), changed(format="1"), changed(format=None),
        changed(created="yesterday"), changed(created=5), changed(created="2026-11-22T19:35:00"),
        changed(application=None), changed(members={}), changed(members=[1]), changed(tables=[1]), changed(database=[]),
        changed(fixtures=None), changed(tables=[{"rows": float("nan")}]), changed(sequences="x"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="manifest"):
        parse_manifest(data)


@pytest.mark.parametrize("size", [-1, 1.0, "1", True, None])
def test_a_wrong_size_is_refused(size: object) -> None:
    with pytest.raises(ArchiveError, match="size"):
        parse_manifest(changed(members=[{"name": "a", "size": size, "sha256": "ab" * 32}]))


@pytest.mark.parametrize("digest", ["", "AB" * 32, "ab" * 31, "zz" * 32, "ab" * 32 + "\n", 5])
def test_a_wrong_digest_is_refused(digest: object) -> None:
    with pytest.raises(ArchiveError, match=r"digest|sha256"):
        parse_manifest(changed(members=[{"name": "a", "size": 1, "sha256": digest}]))


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_a_wrong_name_is_neither_read_nor_written(name: str) -> None:
    with pytest.raises(ArchiveError, match="name"):
        parse_manifest(changed(members=[{"name": name, "size": 1, "sha256": "ab" * 32}]))
    with pytest.raises(ArchiveError, match="name"):
        Manifest("checkniner", CREATED, (Member(name, 1, "ab" * 32),)).to_json()


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(ArchiveError, match="two members"):
        parse_manifest(changed(members=[{"name": "a", "size": 1, "sha256": "ab" * 32}] * 2))
