"""What each look decides, and what is remembered: no database, no clock."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.backup import changes
from checkniner_backups.backup.changes import CheckLevel, by_everything, by_rows, by_token, comparable, full_check_due
from checkniner_backups.state.folder import State
from checkniner_backups.state.last_backup import Fingerprint, LastBackup, RowVersions, parse
from checkniner_backups.system.files import new_file
from hypothesis import given
from hypothesis import strategies as st

PRINT = Fingerprint({"public.a": "1", "public.b": "2"}, "columns", "schema")


def saved(**changed: Any) -> LastBackup:
    """Return what is remembered of an archive."""
    before = LastBackup(
        key="db/2026-11-22T19:35:00.tar.gz.gpg", size=9, sha256="ab", at=100.0, archive_settings="settings",
        database_id="here", snapshot_token="1:2:/5", business_tables=("a", "b"),
        ignored={"public.a": ["c"]},
        fingerprint=PRINT, fixtures={"auth": "x", "checkouts": "y"}, full_check_at=100.0, seen_in_store_at=100.0,
        django="5.2",
        row_versions=RowVersions("1:2:/5", {"public.b": 3}, {"public.b": "shape"}, {"public.b": 4}),
    )  # fmt: skip
    return replace(before, **changed)


def test_only_a_backup_of_the_same_database_under_the_same_settings_is_compared_with() -> None:
    before = saved()
    assert comparable(before, "settings", "here") == (before, "")
    for found, why_not in (
        (comparable(None, "settings", "here"), "nothing is known"),
        (comparable(before, "other", "here"), "settings"),
        (comparable(before, "settings", "there"), "the last archive is of here"),
    ):
        assert found[0] is None
        assert why_not in found[1]


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e6))
def test_the_full_look_is_due_after_the_interval_and_when_the_clock_went_back(
    at: float, now: float, every: float
) -> None:
    due = full_check_due(saved(full_check_at=at), now, every)
    assert due == (now < at or now - at >= every)


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_mark_settles_it_only_if_there_is_one_and_it_is_the_same(before: str, now: str) -> None:
    verdict = by_token(saved(snapshot_token=before), now)
    assert (verdict is not None) == (before == now != "")
    assert verdict is None or not verdict.changed


def test_rows_settle_it_only_if_all_of_the_fingerprint_is_equal_and_covers_everything() -> None:
    verdict = by_rows(saved(), PRINT)
    assert verdict
    assert (verdict.changed, verdict.level) == (False, CheckLevel.ROWS)
    for other in (
        replace(PRINT, tables={"public.a": "1"}),
        replace(PRINT, tables={"public.a": "2", "public.b": "1"}),
        replace(PRINT, catalogue=""),
        replace(PRINT, schema="other"),
    ):
        assert by_rows(saved(), other) is None
    partial = replace(PRINT, whole=False)
    assert by_rows(saved(fingerprint=partial), partial) is None


def test_everything_names_what_differs() -> None:
    fixtures = saved().fixtures
    assert not by_everything(saved(), "", PRINT, fixtures).changed
    # Another app's migration, or a table of nobody's, is no change by itself.
    assert not by_everything(saved(), "", replace(PRINT, schema="other"), fixtures).changed
    for now, files, where in (
        (replace(PRINT, tables={**PRINT.tables, "public.b": "3"}), fixtures, "rows of public.b"),
        (replace(PRINT, tables={"public.a": "1"}), fixtures, "rows of public.b"),
        (replace(PRINT, tables={**PRINT.tables, "public.c": "3"}), fixtures, "rows of public.c"),
        (replace(PRINT, catalogue="other"), fixtures, "columns"),
        (PRINT, {**fixtures, "auth": "z"}, "fixtures of auth"),
        (PRINT, {"auth": "x"}, "fixtures of checkouts"),
        (PRINT, {**fixtures, "new": "z"}, "fixtures of new"),
    ):
        verdict = by_everything(saved(), "", now, files)
        assert verdict.changed
        assert where in verdict.reason
    unknown = by_everything(None, "no memory", PRINT, fixtures)
    assert unknown.changed
    assert unknown.reason == "no memory"
    assert str(unknown) == "changed (full check): no memory"


def test_the_memory_survives_the_disk_and_damage_reads_as_nothing(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.load() is None
    state.store(saved())
    assert state.load() == saved()
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    whole = json.loads(saved().to_json())
    younger = {
        "migrations_table",
        "warnings",
        "missing",
        "inexact",
        "last_whole",
        "rows",
        "shrunk",
        "unsigned",
        "verified",
        "row_versions",
        "models",
    }  # than the rest
    for name in whole.keys() - younger:
        assert parse(json.dumps({key: value for key, value in whole.items() if key != name}), LastBackup) is None
    for name, value in (("version", 0), ("at", "noon"), ("snapshot_token", None), ("fingerprint", None),
                        ("archive_settings", 5), ("fingerprint", {"unknown": 1}),
                        ("row_versions", None), ("row_versions", {"unknown": 1}), ("row_versions", {"token": 5}),
                        ("seen_in_store_at", [])):  # fmt: skip
        assert parse(json.dumps({**whole, name: value}), LastBackup) is None, name
    former = parse(json.dumps({key: value for key, value in whole.items() if key not in younger}), LastBackup)
    assert former
    assert former.row_versions == RowVersions()
    for text in ("", "[]", '"x"', "null", "5", "{", saved().to_json()[:-20]):
        assert parse(text, LastBackup) is None
    state.forget()
    state.forget()
    assert state.load() is None


def test_a_look_does_not_overwrite_what_was_saved_meanwhile(tmp_path: Path) -> None:
    state = State(tmp_path)
    before, by_hand = saved(), saved(key="db/newer", at=200.0)
    state.store(before)
    state.store_over(before, replace(before, snapshot_token="new"))
    assert state.load() == replace(before, snapshot_token="new")
    state.store_newer(by_hand)
    state.store_over(before, replace(before, snapshot_token="newest"))
    assert state.load() == by_hand
    state.store_newer(saved(at=150.0))  # an older dump, uploaded late
    assert state.load() == by_hand
    state.store_newer(saved(at=150.0, archive_settings="other"))
    assert state.load() == saved(at=150.0, archive_settings="other")


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.store(saved())
    archives = tmp_path / "archives"
    archives.mkdir()
    left = [tmp_path / ".state.json.ab12", archives / "2026-11-22T19:35:00.tar.gz.gpg.part"]
    kept = [
        archives / "2026-11-22T19:35:00.tar.gz.gpg",
        archives / "latest.tar.gz.gpg",
        tmp_path / "safety-manifest.json",
    ]
    for path in (*left, *kept):
        path.touch()
    written_now = archives / "2026-11-22T19:40:00.tar.gz.gpg.part"
    with new_file(written_now):
        state.sweep()
        assert written_now.exists()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    assert state.load() == saved()


@pytest.mark.parametrize("names", [["a", "b"], ["b", "a"], ["ab"], ["a,b"], ['a","b'], []])
def test_no_two_lists_of_names_have_one_digest(names: list[str]) -> None:
    others = [["a", "b"], ["b", "a"], ["ab"], ["a,b"], ['a","b'], []]
    others.remove(names)
    assert changes._names_digest(names) not in {changes._names_digest(each) for each in others}
