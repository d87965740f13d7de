"""A pause of the ticks: it has an end and a reason, and a damaged one keeps nothing off."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.maintenance.problems import of_ticks
from checkniner_backups.settings import Settings, StoreSettings
from checkniner_backups.state.folder import State
from checkniner_backups.state.last_tick import LastTick
from checkniner_backups.state.pause import LONGEST, Pause, new_pause, parse_pause

from .test_damaged_files import DAMAGED

NOW = 1_795_000_000.0  # 2026-11-18 10:26:40 UTC


def test_a_pause_is_what_was_asked_for() -> None:
    made = new_pause("2026-11-19 06:00Z", "  the store\nis moved ", NOW)
    assert made.sentence() == "paused until 2026-11-19 06:00 UTC: the store is moved"
    assert (made.stands(NOW), made.stands(made.until)) == (True, False)
    assert parse_pause(made.to_json(), NOW) == made
    assert parse_pause(made.to_json(), made.until + 1e6) == made  # over, and still known


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        ("2026-11-18 10:26Z", "over"), ("2026-12-19 06:00Z", "too long"), ("soon", "no time"),
        ("2026-11-19 06:00Z", "  "), ("2026-11-19 06:00Z", "a" * 201),
    ],
)  # fmt: skip
def test_a_pause_without_an_end_or_a_reason_is_refused(until: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        new_pause(until, reason, NOW)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [*DAMAGED, '{"version": 1, "until": NaN, "reason": "a", "since": 0}',
     Pause(NOW + LONGEST + 1, "a clock was wrong", NOW).to_json(), Pause(float("inf"), "for ever", NOW).to_json()],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_a_damaged_one_pauses_nothing(text: str) -> None:
    assert parse_pause(text, NOW) is None


def test_what_is_damaged_is_told_and_removed_only_if_it_is_what_was_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = State(tmp_path)
    assert state.load_pause() is None
    assert not caplog.records
    (tmp_path / "pause.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        assert state.load_pause() is None
    assert "pause.json is damaged" in caplog.text
    state.forget_pause(None)
    assert not (tmp_path / "pause.json").exists()
    old, new = Pause(5.0, "old", 1.0), Pause(6.0, "new", 2.0)
    state.store_pause(new)
    state.forget_pause(old)
    assert state.load_pause() == new


def test_no_tick_is_late_in_a_pause_and_a_dead_cron_is_told_after_it() -> None:
    settings = Settings("shop", Path("/app"), Path("/venv"), Path("/state"), StoreSettings())
    tick = LastTick(NOW, 7, "the store is away", failing_since=NOW)
    pause = Pause(NOW + 7200, "the store is moved", NOW)
    during = of_ticks(settings, tick, NOW + 7000, pause)
    assert [each.kind for each in during] == ["paused", "failing"]
    assert [each.kind for each in of_ticks(settings, tick, NOW + 7300, pause)] == ["failing"]
    assert [each.kind for each in of_ticks(settings, tick, NOW + 7200 + 1801, pause)] == ["late", "failing"]
    assert [each.kind for each in of_ticks(settings, tick, NOW + 7000)] == ["late", "failing"]
