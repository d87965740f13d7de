"""When runs are due: what cron and systemd are told is the same, and each host has a second of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from datetime import datetime, timedelta

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.system.schedule import Schedule, clean_schedule, tick_schedule

CALENDARS = {
    "* * * * *": ["*-*-* *:*:00"],
    "*/5 * * * *": ["*-*-* *:00/5:00"],
    "3-59/5 * * * *": ["*-*-* *:03/5:00"],
    "0-30/10 8-18 * * *": ["*-*-* 08,09,10,11,12,13,14,15,16,17,18:00,10,20,30:00"],
    "12 0 1 * *": ["*-*-01 00:12:00"],
    "5,50 4 * jan,Jul *": ["*-01,07-* 04:05,50:00"],
    "0 3 * * 1-5": ["Mon,Tue,Wed,Thu,Fri *-*-* 03:00:00"],
    "0 3 * * fri-7": ["Fri,Sat,Sun *-*-* 03:00:00"],
    "0 3 * * 0-7": ["*-*-* 03:00:00"],
    "0 3 1,15 * Mon": ["*-*-01,15 03:00:00", "Mon *-*-* 03:00:00"],
    "0 3 */2 * 1": ["Mon *-*-01/2 03:00:00"],
    "0 3 1-7 * */2": ["Tue,Thu,Sat,Sun *-*-01,02,03,04,05,06,07 03:00:00"],
}


@pytest.mark.parametrize("cron", CALENDARS)
def test_a_crontab_s_fields_become_timers(cron: str) -> None:
    assert Schedule(cron).calendars() == CALENDARS[cron]


def test_a_delay_is_a_timer_s_second_and_cron_s_wait() -> None:
    schedule = Schedule("* * * * *", 7)
    assert schedule.calendars() == ["*-*-* *:*:07"]
    assert schedule.wait == "sleep 7 && "
    assert Schedule("* * * * *").wait == ""


@pytest.mark.parametrize(
    "cron",
    ["", "@daily", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *",
     "* * * * 8", "*/0 * * * *", "5/5 * * * *", "9-5 * * * *", "a * * * *", "mon * * * *", "* * * * tues", "1, * * * *",
     "-1 * * * *", "* * L * *", "* * * * 5#2", "*-5 * * * *", "1-2-3 * * * *", "H * * * *", "٣ * * * *"],
)  # fmt: skip
def test_what_cannot_be_translated_is_refused(cron: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Schedule(cron).calendars()
    assert repr(cron) in refused.value.message
    assert "five fields" in refused.value.hint


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_the_times_that_cron_would() -> None:
    start = datetime(2027, 2, 26, 23, 50)
    for cron, calendars in CALENDARS.items():
        for calendar in calendars:
            said = subprocess.run(
                ["systemd-analyze", "calendar", "--iterations=4", "--base-time=2027-02-26 23:50:00 UTC", calendar],
                env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            lines = [line.split(": ", 1) for line in said.splitlines() if ": " in line]
            texts = [text for name, text in lines if "elapse" in name or "Iter" in name]
            found = {datetime.strptime(text[4:23], "%Y-%m-%d %H:%M:%S") for text in texts}
            assert len(found) == 4, said
            assert all(_is_due(cron, moment) for moment in found), (cron, found)
            if len(calendars) == 1 and max(found) - start < timedelta(days=20):
                minutes = (start + timedelta(minutes=number) for number in range(1, 1 << 20))
                expected = {next(moment for moment in minutes if _is_due(cron, moment)) for _ in range(4)}
                assert found == expected, cron


def _is_due(cron: str, moment: datetime) -> bool:
    """As cron's manual says it, one number at a time."""
    names = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug",
             "sep", "oct", "nov", "dec")  # fmt: skip
    words = cron.lower().split()
    numbers = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)

    def number(text: str) -> int:
        place = names.index(text) if text in names else -1
        return int(text) if place < 0 else place if place < 7 else place - 6

    def fits(word: str, value: int, low: int, high: int) -> bool:
        for part in word.split(","):
            span, _, step = part.partition("/")
            first, _, last = span.partition("-")
            begin = low if span == "*" else number(first)
            end = high if span == "*" else number(last or first)
            if begin <= value <= end and (value - begin) % int(step or 1) == 0:
                return True
        return False

    bounds = ((0, 59), (0, 23), (1, 31), (1, 12))
    minute, hour, day, month = (
        fits(word, value, *bound) for word, value, bound in zip(words[:4], numbers[:4], bounds, strict=True)
    )
    weekday = fits(words[4], numbers[4], 0, 7) or (numbers[4] == 0 and fits(words[4], 7, 0, 7))
    days = day and weekday if "*" in (words[2][0], words[4][0]) else day or weekday
    return minute and hour and month and days


def test_a_thousand_hosts_are_spread_evenly_and_each_keeps_its_time() -> None:
    names = [f"server-{number}.example.org/checkniner" for number in range(1000)]
    ticks = [tick_schedule(name) for name in names]
    minutes = Counter(schedule.cron for schedule in ticks)
    assert sorted(minutes) == [f"{minute}-59/5 * * * *" for minute in range(5)]
    assert all(160 <= count <= 240 for count in minutes.values()), minutes
    assert max(Counter((schedule.cron, schedule.delay) for schedule in ticks).values()) <= 15
    seconds = Counter(schedule.delay for schedule in ticks)
    assert len(seconds) == 60
    assert max(seconds.values()) <= 35
    assert len({clean_schedule(name) for name in names}) > 800
    assert all(clean_schedule(name).calendars()[0].startswith("*-*-01 00:") for name in names)
    # What stands in crontabs must not move with an upgrade.
    assert tick_schedule("server.example.org/checkniner") == Schedule("3-59/5 * * * *", 0)
