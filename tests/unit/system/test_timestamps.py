"""Moments as people write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.system.timestamps import parse_timestamp

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 14:35", "2026-11-20T13:35:00"),
        ("2026-11-20T14:35:07", "2026-11-20T13:35:07"),
        ("  2026-11-20   14:35 ", "2026-11-20T13:35:00"),
        ("2026-11-20T14:35:00Z", "2026-11-20T14:35:00"),
        ("2026-11-20 14:35 UTC", "2026-11-20T14:35:00"),
        ("2026-11-20 14:35+02:00", "2026-11-20T12:35:00"),
        ("2026-11-20 14:35 -0230", "2026-11-20T17:05:00"),
        ("2026-11-20 14:35+02", "2026-11-20T12:35:00"),
        ("2026-07-20 14:35 Asia/Tokyo", "2026-07-20T05:35:00"),
        ("2026-07-20 14:35 America/Argentina/Buenos_Aires", "2026-07-20T17:35:00"),
        ("2026-10-25 02:30 +01:00", "2026-10-25T01:30:00"),
        ("2026-10-25 02:30 UTC", "2026-10-25T02:30:00"),
        ("2026-11-22T19:35:00.tar.gz.gpg", "2026-11-22T19:35:00"),
        ("db/2026-11-22T19:35:00.tar.gz", "2026-11-22T19:35:00"),
    ],
)
def test_what_is_understood(text: str, expected: str) -> None:
    moment = parse_timestamp(text, BERLIN)
    assert moment == datetime.fromisoformat(expected).replace(tzinfo=timezone.utc)
    assert moment.utcoffset() == timezone.utc.utcoffset(None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a timestamp"),
        ("yesterday", "not a timestamp"),
        ("2026-11-20", "not a timestamp"),
        ("20.11.2026 14:35", "not a timestamp"),
        ("2026-02-30 14:35", "not a timestamp"),
        ("2026-11-20 25:00", "not a timestamp"),
        ("2026-11-20 14:35 Europe/Nowhere", "no time zone 'Europe/Nowhere'"),
        ("2026-11-20 14:35 Europe", "no time zone"),
        ("2026-11-20 14:35 a/../../etc/passwd", "not a timestamp"),
        ("2026-11-20 14:35 +99:00", "no usable offset"),
        ("2026-10-25 02:30", "happened twice"),
        ("2026-10-25 02:30 Europe/Berlin", "happened twice"),
        ("2026-03-29 02:30", "never happened"),
        ("0001-01-01 00:00 +14:00", "too far away"),
    ],
)
def test_what_is_not(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        parse_timestamp(text, BERLIN)
    assert caught.value.hint


@pytest.fixture
def machine_in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_berlin")
def test_without_a_zone_the_machines_is_meant() -> None:
    assert parse_timestamp("2026-07-20 14:35") == datetime(2026, 7, 20, 12, 35, tzinfo=timezone.utc)
    with pytest.raises(SettingsError, match="happened twice"):
        parse_timestamp("2026-10-25 02:30")
    with pytest.raises(SettingsError, match="never happened"):
        parse_timestamp("2026-03-29 02:30")
