"""What a server remembers of its last tick: so that a person or a monitor can ask, who was not told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..errors import WatchdogError

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
    :param seconds: that it took
    :param runs: ticks that have ended so far
    :param failed_runs: those of them that failed
    :param key_expiry: when each encryption key expires, by fingerprint; 0 for never
    """

    at: float
    status: int
    message: str = ""
    hint: str = ""
    good_at: float = 0.0
    failing_since: float = 0.0
    seconds: float = 0.0
    runs: int = 0
    failed_runs: int = 0
    key_expiry: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)})


def next_tick(
    before: LastTick | None,
    now: float,
    status: int,
    message: str = "",
    hint: str = "",
    *,
    seconds: float = 0.0,
    key_expiry: Mapping[str, float] | None = None,
) -> LastTick:
    """Given what was remembered, and how a tick has ended now, return what to remember.

    :param seconds: that the tick took
    :param key_expiry: by fingerprint, where this tick has looked at the keys
    """
    before = before or LastTick(0.0, 0)
    # Who could not be told of a success does not undo it.
    good = status in (0, WatchdogError.exit_status)
    return LastTick(
        now, status, message if status else "", hint if status else "",
        good_at=now if good else before.good_at,
        failing_since=0.0 if good else before.failing_since or now,
        seconds=seconds, runs=before.runs + 1, failed_runs=before.failed_runs + (not good),
        key_expiry=before.key_expiry if key_expiry is None else key_expiry,
    )  # fmt: skip


def parse_tick(text: str) -> LastTick | None:
    """Given JSON, return what it says, or None where it is damaged or not of this version."""
    try:
        data = json.loads(text)
        if data.pop("version") != _VERSION:
            return None
        found = LastTick(**data)
        numbers = (
            found.at,
            found.good_at,
            found.failing_since,
            found.status,
            found.seconds,
            found.runs,
            found.failed_runs,
        )
        whole = min(*numbers, *map(float, found.key_expiry.values())) >= 0
        return found if whole else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
