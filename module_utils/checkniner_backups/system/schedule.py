"""When runs are due: the five fields of a crontab, what systemd calls the same times, and a time of each host's own.

Where many hosts save into one store, the default schedules differ by a hash of the host's name: the hosts do not all
ask the store in the same second, and each of them keeps its time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import SettingsError

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PART = re.compile(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?")


class _Field(NamedTuple):
    """One field of a crontab: what it is called, its lowest and highest number, and names for numbers."""

    word: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)


@dataclass(frozen=True)
class Schedule:
    """When a run is due.

    :param cron: five fields of a crontab
    :param delay: seconds after the full minute, 0 to 59
    """

    cron: str
    delay: int = 0

    @property
    def wait(self) -> str:
        """What a command of a crontab begins with: cron starts it at the full minute."""
        return f"sleep {self.delay} && " if self.delay else ""

    def calendars(self) -> list[str]:
        """Return the values of `OnCalendar=` at which systemd starts the run; any of them counts, as in a timer.

        :raises SettingsError: the fields are none that can be translated
        """
        words = self.cron.lower().split()
        if len(words) != len(_FIELDS):
            raise _refused(self.cron, f"it has {len(words)} fields, not five")
        found = [_numbers(self.cron, word, field) for word, field in zip(words, _FIELDS, strict=True)]
        minutes, hours, days, months, weekdays = found
        weekdays = frozenset(number % 7 for number in weekdays)
        time = f"{_text(hours, _FIELDS[1])}:{_text(minutes, _FIELDS[0])}:{self.delay:02d}"
        month, day = _text(months, _FIELDS[3]), _text(days, _FIELDS[2])
        named = ",".join(_DAYS[number].title() for number in (1, 2, 3, 4, 5, 6, 0) if number in weekdays)
        prefix = "" if len(weekdays) == 7 else f"{named} "
        # cron takes a day that fits either field, unless one of them begins with a star: then it must fit both.
        if prefix and day != "*" and not words[2].startswith("*") and not words[4].startswith("*"):
            return [f"*-{month}-{day} {time}", f"{prefix}*-{month}-* {time}"]
        return [f"{prefix}*-{month}-{day} {time}"]


def tick_schedule(host: str) -> Schedule:
    """Given a host's name, return the default schedule of its ticks: every five minutes, at a second of its own."""
    minute, second = divmod(_hash(host) % 300, 60)
    return Schedule(f"{minute}-59/5 * * * *", second)


def clean_schedule(host: str) -> Schedule:
    """Given a host's name, return when it removes old local archives by default: in the month's first hour."""
    minute, second = divmod(_hash(host) % 3600, 60)
    return Schedule(f"{minute} 0 1 * *", second)


def _hash(host: str) -> int:
    return int.from_bytes(hashlib.sha256(host.encode(errors="surrogateescape")).digest()[:8], "big")


def _numbers(cron: str, word: str, field: _Field) -> frozenset[int]:
    """Given a schedule and one word of it, return the numbers that the word stands for."""
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise _refused(cron, f"{part!r} is no {field.word}")
        first, last, step = match.groups()
        low = _number(cron, first, field) if first else field.low
        high = _number(cron, last, field) if last else low if first else field.high
        if high < low or step in ("0", "00") or (step and first and not last):
            raise _refused(cron, f"{part!r} is no range with a step for the {field.word}")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(cron: str, word: str, field: _Field) -> int:
    number = int(word) if word.isdigit() else field.names.index(word) if word in field.names else -1
    if not field.low <= number <= field.high:
        raise _refused(cron, f"{word!r} is no {field.word}")
    return number


def _text(numbers: frozenset[int], field: _Field) -> str:
    """Given the numbers of a field, return them as systemd writes them: all, first and step, or a list."""
    ordered = sorted(numbers)
    if len(ordered) == field.high - field.low + 1:
        return "*"
    if len(ordered) > 2:
        step = ordered[1] - ordered[0]
        if ordered == list(range(ordered[0], field.high + 1, step)):
            return f"{ordered[0]:02d}/{step}"
    return ",".join(f"{number:02d}" for number in ordered)


def _refused(cron: str, why: str) -> SettingsError:
    return SettingsError(
        f"the schedule {cron!r} cannot be given to systemd: {why}",
        'write five fields of a crontab as numbers, names, ranges, lists and steps, such as "*/5 * * * *"',
    )
