"""What a server remembers of its last tick: so that a person or a monitor can ask, who was not told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from .errors import WatchdogError

_VERSION = 1


@dataclass(frozen=True)
class LastTick:
    """How the last tick ended. Times are in seconds since the epoch, UTC; 0 is "not known".

    :param at: when it ended
    :param status: its exit status; 0 where all was well
    :param message: what failed
    :param hint: what to do about it
    :param good_at: when the last tick ended that was a full success
    :param failing_since: when the first of the failures ended that came after it; 0 where the last tick was no failure
    """

    at: float
    status: int
    message: str = ""
    hint: str = ""
    good_at: float = 0.0
    failing_since: float = 0.0

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)})


def next_tick(before: LastTick | None, now: float, status: int, message: str = "", hint: str = "") -> LastTick:
    """Given what was remembered, and how a tick has ended now, return what to remember."""
    if status in (0, WatchdogError.exit_status):  # who could not be told of a success does not undo it
        return LastTick(now, status, message if status else "", hint, good_at=now)
    since = before.failing_since if before and before.failing_since else now
    return LastTick(now, status, message, hint, before.good_at if before else 0.0, since)


def parse_tick(text: str) -> LastTick | None:
    """Given JSON, return what it says, or None where it is damaged or not of this version."""
    try:
        data = json.loads(text)
        if data.pop("version") != _VERSION:
            return None
        found = LastTick(**data)
        return found if min(found.at, found.good_at, found.failing_since, found.status) >= 0 else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
