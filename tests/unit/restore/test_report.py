"""What a restore says at its end: nobody reads more than five lines at three in the morning."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from checkniner_backups.restore.report import Report
from checkniner_backups.restore.stages import BESIDE, ELSEWHERE, LIVE, SWAP

MADE = datetime(2026, 11, 25, 2, 45, 3, tzinfo=timezone.utc)
NOW = MADE + timedelta(hours=3)
KEY, SAFETY = "db/2026-11-25T02:45:03.tar.gz.gpg", "db/before-restore/2026-11-25T05:44:00.tar.gz.gpg"
PROVEN = "proven: 15 tables, 442 rows"


def test_a_swap_says_which_archive_what_is_lost_and_the_way_back() -> None:
    report = Report(
        KEY, PROVEN, SWAP, MADE, "shop", 0.013, "shop_before_20261125t054500", safety=(SAFETY,), seconds=101
    )
    assert report.lines(NOW) == [
        f"restored {KEY}, with the data of 2026-11-25 02:45:03 UTC (3 h ago); it took 101 s",
        PROVEN,
        "it is live; nobody could connect for 0.01 s",
        "the database before it is kept as shop_before_20261125t054500; -e undo=true goes back to it",
        f"what was entered after 2026-11-25 02:45:03 UTC is not in it; it is saved as {SAFETY}",
    ]


def test_what_was_dropped_is_in_the_store_alone() -> None:
    lines = Report(KEY, PROVEN, SWAP, MADE, previous="shop_before", dropped=True, safety=(SAFETY,)).lines(NOW)
    assert f"the database before it was dropped; what was in it is saved as {SAFETY}" in lines


def test_what_was_not_saved_is_said_loudly() -> None:
    lines = Report(KEY, PROVEN, SWAP, None, previous="shop_before").lines(NOW)
    assert lines[0] == f"restored {KEY}, which does not tell of when its data are"
    assert lines[-1] == "what was entered since then is not in it, and was not saved, only in shop_before"


def test_where_nothing_was_replaced_nothing_is_lost() -> None:
    assert Report(KEY, PROVEN, SWAP, MADE).lines(NOW)[-1] == "there was no database to replace"
    for way in (BESIDE, ELSEWHERE):
        assert Report(KEY, PROVEN, way, MADE, "copy").lines(NOW)[-1] == "no earlier database was replaced"


def test_rows_that_were_replaced_in_the_live_database() -> None:
    lines = Report(KEY, PROVEN, LIVE, MADE, safety=(SAFETY,)).lines(NOW)
    assert lines[-1] == f"what was entered after 2026-11-25 02:45:03 UTC is not in it; it is saved as {SAFETY}"
