"""Fixtures are what `dumpdata` prints, byte for byte, at the speed of COPY."""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkniner_backups.django_app.process import FixturesProcess
from checkniner_backups.errors import ApplicationError, LockTimeoutError, SettingsError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.dumpdata import dump, expected, same
from tests.plugins.fixtures_project import KindsProject
from tests.plugins.postgres import Database

DJANGOS = {
    "kinds.odd", "kinds.custom", "kinds.restaurant", "kinds.referstosoft", "kinds.book", "kinds.reader",
    "kinds.changed", "kinds.absent", "taggit.taggeditem",
}  # fmt: skip


def test_it_is_what_dumpdata_prints(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process, kinds.reference(filled.url, tmp_path) as reference:
        members, report = dump(process)
        assert list(process.registry.apps) == members.closed
        for app in process.registry.apps:
            if app != "unusual":  # test_fixtures_unusual.py says what is in it instead
                same(members[app], expected(reference, app), kinds)
    slow = {model.label for model in report.models if model.way == "django" and not model.label.startswith("unusual.")}
    assert slow <= DJANGOS, [model for model in report.models if model.label in slow - DJANGOS]
    assert {
        "kinds.everything",
        "kinds.keyed",
        "auth.user",
        "auth.group",
        "auth.permission",
        "kinds.profile",
    } & slow == set()
    assert members["sessions"] == b"[\n]\n"
    counts = {model.label: model.objects for model in report.models}
    assert counts["kinds.everything"] == 60
    assert counts["kinds.soft"] == 4  # also those that the default manager hides
    assert "django_content_type" not in str(report.warnings)
    assert [line for line in report.inexact["kinds"] if line.startswith("kinds.referstosoft: softs refers to rows")]
    assert report.migrations["auth"][0] == "0001_initial"


def test_without_time_zones(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    off = {"PROJECT_USE_TZ": "0"}
    with kinds.start(filled.url, tmp_path, **off) as process, kinds.reference(filled.url, tmp_path, **off) as reference:
        filled.execute("UPDATE kinds_everything SET moment = '2024-10-27 00:30:00.5+00' WHERE moment < '1950-01-01'")
        members, report = dump(process, apps=["kinds"])
        same(members["kinds"], expected(reference, "kinds"), kinds)
        assert {model.label: model.way for model in report.models}["kinds.everything"] == "fast"


@pytest.mark.parametrize(
    "change",
    [
        "number = 1e15", "number = 9007199254740993", "number = 1e23", "number = '-infinity'", "number = 'NaN'",
        "day = '9999-12-31'", "moment = '9999-12-31 12:00+00'",
    ],
)  # fmt: skip
def test_values_that_sql_writes_differently(change: str, kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute(f"UPDATE kinds_everything SET {change} WHERE id = 40")
    with kinds.start(filled.url, tmp_path) as process, kinds.reference(filled.url, tmp_path) as reference:
        members, report = dump(process, apps=["kinds"])
        same(members["kinds"], expected(reference, "kinds"), kinds)
    (everything,) = [model for model in report.models if model.label == "kinds.everything"]
    assert everything.way == "django"
    assert "value" in everything.why


def test_a_decimal_that_is_no_number(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute("UPDATE kinds_everything SET fine = 'NaN' WHERE id = 40")
    with kinds.start(filled.url, tmp_path) as process, kinds.reference(filled.url, tmp_path) as reference:
        members, report = dump(process, apps=["kinds"])
        same(members["kinds"], expected(reference, "kinds"), kinds)
    assert {model.label: model.way for model in report.models}["kinds.everything"] == "fast"


def test_a_difference_in_the_sample_switches_the_fast_way_off(
    kinds: KindsProject, filled: Database, tmp_path: Path
) -> None:
    sneaky = {"PROJECT_SNEAKY": "1"}
    with (
        kinds.start(filled.url, tmp_path, **sneaky) as process,
        kinds.reference(filled.url, tmp_path, **sneaky) as reference,
    ):
        members, report = dump(process, apps=["kinds"])
        same(members["kinds"], expected(reference, "kinds"), kinds)
    assert b'"SNEAKY' in members["kinds"]
    ways = {model.label: model.way for model in report.models}
    assert ways["kinds.everything"] == "django"
    assert any(warning.startswith("kinds.everything: SQL and Django differ") for warning in report.warnings)
    assert ways["kinds.onlykey"] == "fast"


_TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=60)
_ROWS = st.fixed_dictionaries(
    {
        "name": _TEXT,
        "text": st.none() | _TEXT,
        "whole": st.none() | st.integers(-(2**31), 2**31 - 1),
        "big": st.none() | st.integers(-(2**63), 2**63 - 1),
        "yes": st.none() | st.booleans(),
        "day": st.none() | st.dates(),
        "moment": st.none() | st.datetimes(timezones=st.just(UTC)),
        "clock": st.none() | st.times(),
        "price": st.none() | st.decimals(-(10**17), 10**17, places=2),
        "fine": st.none() | st.decimals(-(10**13), 10**13, places=6),
        "number": st.none() | st.floats() | st.floats(-1e15, 1e15),
        "identity": st.none() | st.uuids(),
        "address": st.none() | st.ip_addresses(),
        "blob": st.none() | st.binary(max_size=200),
        "user_id": st.none() | st.sampled_from([1, 8, 15, 22, 29, 100]),
        "group_id": st.none() | st.sampled_from([1, 2, 3]),
    }
)


def test_generated_rows(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    ways = []
    with ExitStack() as stack:
        process = stack.enter_context(kinds.start(filled.url, tmp_path))
        reference = stack.enter_context(kinds.reference(filled.url, tmp_path))
        connection = stack.enter_context(filled.connect(autocommit=True))
        connection.execute("TRUNCATE kinds_everything CASCADE")

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
        )
        @given(st.lists(_ROWS, min_size=1, max_size=30), st.booleans())
        def check(rows: list[dict[str, Any]], plain: bool) -> None:
            connection.execute("DELETE FROM kinds_everything")
            names = list(rows[0])
            columns = ", ".join([*names, "slug", "email", "url", "changed"])
            places = ", ".join(["%s"] * len(names))
            for row in rows:
                number = row["number"]
                if plain and number is not None and not abs(number) < 1e15:
                    row["number"] = 1.5
                statement = f"INSERT INTO kinds_everything ({columns}) VALUES ({places}, 's', 'e', 'u', now())"
                psycopg.ClientCursor(connection).execute(statement, [row[name] for name in names])
            members, report = dump(process, apps=["kinds"])
            ways.extend(model.way for model in report.models if model.label == "kinds.everything")
            same(members["kinds"], expected(reference, "kinds"), kinds)

        check()
    assert ways.count("fast") > 5


def test_one_snapshot(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process, filled.connect() as exporting:
        exporting.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        (snapshot,) = exporting.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        before, _ = dump(process, snapshot=snapshot)
        filled.execute("INSERT INTO kinds_onlykey DEFAULT VALUES")
        filled.execute("DELETE FROM kinds_note")
        during, _ = dump(process, snapshot=snapshot, lock_tables=['"kinds_onlykey"', "public.kinds_note"])
        after, _ = dump(process)
    assert before["kinds"] == during["kinds"] != after["kinds"]


def test_a_lock_that_is_not_to_be_had(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process:
        with filled.connect() as migration:
            migration.execute("LOCK TABLE kinds_note IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(LockTimeoutError):
                dump(process, lock_tables=["public.kinds_note"], lock_timeout=0.2)
            with pytest.raises(LockTimeoutError):  # also where nobody listed the table
                dump(process, lock_timeout=0.2)
            query = "SELECT count(*) FROM pg_locks JOIN pg_class c ON c.oid = relation WHERE relname = 'kinds_note'"
            assert filled.execute(query) == [(1,)]
        members, _ = dump(process, lock_tables=["public.kinds_note"], lock_timeout=0.2)
        assert members["kinds"]


def test_a_hidden_row_is_no_hole_but_a_missing_fixture(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute("ALTER TABLE kinds_note ENABLE ROW LEVEL SECURITY")
    filled.execute("ALTER TABLE kinds_note FORCE ROW LEVEL SECURITY")
    with kinds.start(filled.url, tmp_path) as process:
        members, report = dump(process, partial=True)
    assert list(report.missing) == ["kinds"]
    assert report.missing["kinds"].startswith("kinds.note: ")
    assert "row-level security" in report.missing["kinds"]
    assert "kinds" not in members.closed
    assert {"auth", "contenttypes", "tagged"} <= set(members.closed)
    with kinds.start(filled.url, tmp_path) as process, pytest.raises(ApplicationError, match="row-level security"):
        dump(process)


def test_many_rows_are_fast_and_memory_is_flat(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute(
        "INSERT INTO kinds_note (content_type_id, object_id) SELECT c.id, n FROM generate_series(1, 300000) n,"
        " (SELECT min(id) AS id FROM django_content_type) c"
    )
    with kinds.start(filled.url, tmp_path) as process:
        _, report = dump(process, apps=["contenttypes"])
        started = peak_memory(process)
        _, report = dump(process, apps=["kinds"])
        assert peak_memory(process) - started < 30_000
    assert {model.label: model.way for model in report.models}["kinds.note"] == "fast"
    assert report.apps["kinds"] > 300_000


def peak_memory(process: FixturesProcess) -> int:
    """In KiB."""
    status = Path(f"/proc/{process._process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+)", status)
    assert match
    return int(match[1])


def test_errors_say_what_is_wrong_and_hide_secrets(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process:
        with pytest.raises(SettingsError, match="nonsense"):
            dump(process, apps=["nonsense"])
        with pytest.raises(SettingsError) as caught:
            process.registry.business_apps(["kinds", "nonsense"], lambda _: True)
        assert "auth" in caught.value.hint
        assert {"kinds_everything_friends", "a Strange table"} <= set(process.registry.tables(["kinds"]))
        assert process.registry.column_of("auth.user.last_login") == ("auth_user", "last_login")
        with pytest.raises(ApplicationError, match="snapshot"):
            dump(process, snapshot="00000003-0000001B-1")
        assert not list(tmp_path.glob("*.sock"))
    wrong = filled.url.replace(f":{filled.password}@", ":a-wrong-password@")
    with pytest.raises(ApplicationError) as failed:
        kinds.start(wrong, tmp_path)
    assert "password authentication failed" in str(failed.value)
    assert "a-wrong-password" not in str(failed.value)
    with pytest.raises(ApplicationError) as failed:
        kinds.start(filled.url, tmp_path, PROJECT_FAIL="1")
    assert "the secret is ***" in str(failed.value)
    assert not list(tmp_path.glob("*.zip"))


def test_a_killed_process_is_an_error(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process:
        assert process.alive
        process.kill()
        with pytest.raises(ApplicationError, match="ended with status -9"):
            dump(process)
        assert not process.alive


def test_nothing_stays_locked_after_a_failure(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    with kinds.start(filled.url, tmp_path) as process, pytest.raises(OSError, match="disk full"):
        process.dump(snapshot=None, lock_tables=[], lock_timeout=1, apps=None, open_member=_full_disk)
    with filled.connect() as connection:
        connection.execute("SET lock_timeout = '3s'")
        connection.execute("ALTER TABLE kinds_everything ADD COLUMN more int")
        connection.rollback()


def _full_disk(app: str) -> Any:
    raise OSError("disk full")
