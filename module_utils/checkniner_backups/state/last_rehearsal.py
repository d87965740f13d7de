"""What a server remembers of its last rehearsal: whether a restore of its data would work, and why not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from .. import __version__
from ..system.timestamps import iso

REHEARSED, FAILED, IMPOSSIBLE = "rehearsed", "failed", "cannot be rehearsed"
NOT_TRIED = "not tried"
_VERSION = 1


@dataclass(frozen=True)
class LastRehearsal:
    """What came of the last rehearsal.

    :param at: when it began, seconds since the epoch, UTC
    :param verdict: REHEARSED, FAILED or IMPOSSIBLE
    :param data_of: the time of the data, ISO 8601, UTC
    :param sql: what was proven of a restore from SQL, or what would fail
    :param fixtures: the same of a restore from fixtures
    :param both: whether the two came to the same
    :param hint: what to do; may be empty
    :param seconds: that it took
    :param schema: digest (hex) of the schema and the applied migrations
    :param engine: version of this software
    """

    at: float
    verdict: str
    data_of: str
    sql: str
    fixtures: str
    both: str
    hint: str
    seconds: float
    schema: str
    engine: str = __version__

    def to_json(self) -> str:
        """Return this as JSON."""
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1)

    def for_manifest(self) -> dict[str, str]:
        """Return what the next archive's manifest says of it."""
        at = iso(datetime.fromtimestamp(int(self.at), timezone.utc))
        texts = {name: getattr(self, name) for name in ("verdict", "data_of", "sql", "fixtures", "both", "engine")}
        return {"at": at, **texts}

    def sentence(self) -> str:
        """Return the result in one sentence."""
        if self.verdict == REHEARSED:
            done = f"SQL {self.sql}; fixtures {self.fixtures}; SQL and fixtures {self.both}"
            return f"REHEARSED in {self.seconds:.0f} s: {done}"
        what = (
            "NOT REHEARSED: a restore would fail"
            if self.verdict == FAILED
            else "NOT REHEARSED: it cannot be tried here"
        )
        parts = {"SQL": self.sql, "fixtures": self.fixtures, "SQL and fixtures": self.both}
        return f"{what}: " + "; ".join(f"{name}: {text}" for name, text in parts.items() if text and text != NOT_TRIED)


def parse_rehearsal(text: str) -> LastRehearsal | None:
    """Given JSON, return what it says, or None where it is damaged or not of this version."""
    try:
        data = json.loads(text)
        if data.pop("version") != _VERSION:
            return None
        for name in ("at", "seconds"):
            data[name] = float(data[name])
        return LastRehearsal(**data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
