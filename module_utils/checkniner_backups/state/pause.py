"""A pause of the ticks: until when and why. It always has an end, and a damaged one does not count: nobody may find out
months later that a pause was never ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from ..errors import SettingsError

LONGEST = 30 * 86400.0
"""Seconds that a pause may last."""
_LONGEST_REASON = 200
_VERSION = 1
_HINT = 'for example: checkniner-backups pause --until "2026-12-01 06:00" --reason "the store is moved"'


@dataclass(frozen=True)
class Pause:
    """A pause. Times are in seconds since the epoch, UTC.

    :param until: when it ends
    :param reason: why ticks are paused, in the operator's words
    :param since: when it was asked for
    """

    until: float
    reason: str
    since: float

    def stands(self, now: float) -> bool:
        """Given the time, return whether the ticks are paused then."""
        return now < self.until

    def sentence(self) -> str:
        """Return until when, and why."""
        return f"paused until {datetime.fromtimestamp(self.until, timezone.utc):%Y-%m-%d %H:%M} UTC: {self.reason}"

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)})


def new_pause(until: str, reason: str, now: float) -> Pause:
    """Given the end as people write a time, the reason, and the time now, return the pause.

    :raises SettingsError: the end cannot be understood, is over, or is too far away; or there is no reason
    """
    from ..system.timestamps import parse_timestamp  # who only reads a pause does without it

    end, why = parse_timestamp(until).timestamp(), " ".join(reason.split())
    if not why or len(why) > _LONGEST_REASON:
        raise SettingsError(f"the reason has {len(why)} characters, and 1 to {_LONGEST_REASON} are asked for", _HINT)
    if not now < end <= now + LONGEST:
        raise SettingsError(f"{until!r} is over, or more than {LONGEST / 86400:.0f} days ahead", _HINT)
    return Pause(end, why, now)


def parse_pause(text: str, now: float) -> Pause | None:
    """Given JSON and the time now, return the pause, over or not. None where it is damaged, of another version, or ends
    later than any pause may: a clock was wrong."""
    try:
        data = json.loads(text)
        if data.pop("version") != _VERSION:
            return None
        found = Pause(float(data["until"]), str(data["reason"]), float(data["since"]))
        return found if 0 <= found.until <= now + LONGEST else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
