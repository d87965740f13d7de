"""Which tables have suddenly lost many rows, and for how long that is told."""

from __future__ import annotations

import json

import pytest
from checkniner_backups.backup.shrinking import FEWEST, sentences, shrunken
from checkniner_backups.state.last_backup import Fingerprint, LastBackup, Shrinkage, parse

WEEK = 7 * 86400.0


def last(rows: dict[str, int], shrunk: dict[str, Shrinkage] | None = None) -> LastBackup:
    return LastBackup(
        at=100.0, archive_settings="", database_id="", snapshot_token="", business_tables=(), ignored={},
        fingerprint=Fingerprint(), fixtures={}, full_check_at=0.0, django="", rows=rows, shrunk=shrunk or {},
        key="db/last", size=1, sha256="", seen_in_store_at=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now", "percent", "told"),
    [
        (100, 50, 50, True),
        (100, 51, 50, False),
        (100, 0, 50, True),
        (100, 200, 50, False),
        (FEWEST, 0, 50, True),
        (FEWEST - 1, 0, 50, False),
        (100, 1, 100, False),
        (100, 0, 100, True),
        (100, 90, 10, True),
        (100, 0, 0, False),
    ],
)
def test_from_which_loss_on(before: int, now: int, percent: float, told: bool) -> None:
    found = shrunken(last({"t": before}), {"t": now}, 200.0, percent)
    assert found == ({"t": Shrinkage(before, now, 200.0, "db/last")} if told else {})


def test_what_comes_and_goes_is_a_change_of_the_schema() -> None:
    assert shrunken(last({"gone": 100}), {"new": 0}, 200.0, 50) == {}
    assert shrunken(None, {"t": 0}, 200.0, 50) == {}
    assert shrunken(last({}), {"t": 0}, 200.0, 50) == {}  # an archive of an earlier version


def test_it_stays_until_the_rows_are_back_or_somebody_knows() -> None:
    known = {"t": Shrinkage(100, 10, 50.0, "db/before")}
    before = last({"t": 10}, known)
    assert shrunken(before, {"t": 12}, 200.0, 50) == {"t": Shrinkage(100, 12, 50.0, "db/before")}
    assert shrunken(before, {"t": 51}, 200.0, 50) == {}
    assert shrunken(before, {}, 200.0, 50) == {}
    assert shrunken(before, {"t": 10}, 200.0, 50, acknowledged=True) == {}


def test_the_archive_with_all_rows_is_named_where_a_table_shrinks_twice() -> None:
    before = last({"t": 40}, {"t": Shrinkage(100, 40, 50.0, "db/before")})
    assert shrunken(before, {"t": 4}, 200.0, 50) == {"t": Shrinkage(100, 4, 200.0, "db/before")}
    fresh = {"t": Shrinkage(40, 4, 200.0, "db/last")}
    assert shrunken(before, {"t": 4}, 200.0, 50, acknowledged=True) == fresh


def test_it_is_remembered_and_told() -> None:
    shrunk = {"t": Shrinkage(1000, 10, 100.0, "db/before"), "earlier": Shrinkage(20, 0, 50.0, "db/before")}
    remembered = last({"t": 10}, shrunk)
    assert parse(remembered.to_json(), LastBackup) == remembered
    assert [each.partition(";")[0] for each in sentences(remembered)] == ["t has lost 990 of its 1,000 rows"]
    assert "db/before still holds them" in sentences(remembered)[0]
    assert shrunk["t"].stands(100.0 + WEEK - 1)
    assert not shrunk["t"].stands(100.0 + WEEK)
    text = json.loads(remembered.to_json())
    del text["shrunk"], text["rows"]
    assert parse(json.dumps(text), LastBackup) == last({})  # of an earlier version
