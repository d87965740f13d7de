"""What a restore says at its end, at both doors: which archive, of when, proven or not, where the data are, and the way
back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from ..system.timestamps import human_age, human_duration
from .stages import BESIDE, ELSEWHERE, LIVE, SWAP


@dataclass(frozen=True)
class Report:
    """What was done.

    :param archive: its key in the store, or its path
    :param summary: what was proven
    :param way: SWAP, BESIDE, LIVE or ELSEWHERE
    :param data_of: the time of the archive's snapshot, UTC; None where the archive does not tell
    :param database: where the data are
    :param outage: seconds during which nobody could connect
    :param previous: what the replaced database is called now; empty where none was replaced
    :param dropped: whether that was dropped since
    :param safety: keys of the archives that hold what was replaced
    :param seconds: how long all of it took; 0: not known
    """

    archive: str
    summary: str
    way: str
    data_of: datetime | None = None
    database: str = ""
    outage: float = 0.0
    previous: str = ""
    dropped: bool = False
    safety: Sequence[str] = ()
    seconds: float = 0.0

    def lines(self, now: datetime) -> list[str]:
        """Given the time now (UTC), return the lines to show, the most important one first."""
        return [line for line in (self._which(now), self.summary, self._where(), self._before(), self._lost()) if line]

    def _which(self, now: datetime) -> str:
        took = f"; it took {human_duration(self.seconds)}" if self.seconds else ""
        if self.data_of is None:
            return f"restored {self.archive}, which does not tell of when its data are{took}"
        age = human_age((now - self.data_of).total_seconds())
        return f"restored {self.archive}, with the data of {_shown(self.data_of)} ({age}){took}"

    def _where(self) -> str:
        return {
            SWAP: f"it is live; nobody could connect for {self.outage:.2f} s",
            BESIDE: f"it stands beside the live database as {self.database}",
            LIVE: "it replaced the rows of these apps in the live database, in one transaction",
            ELSEWHERE: "it stands in the database of target_url",
        }[self.way]

    def _before(self) -> str:
        if self.way != SWAP:
            return "no earlier database was replaced"
        if not self.previous:
            return "there was no database to replace"
        if self.dropped:
            return f"the database before it was dropped; what was in it is saved as {', '.join(self.safety)}"
        return f"the database before it is kept as {self.previous}; -e undo=true goes back to it"

    def _lost(self) -> str:
        if self.way not in (SWAP, LIVE) or (self.way == SWAP and not self.previous):
            return ""
        since = f"after {_shown(self.data_of)}" if self.data_of else "since then"
        if self.safety:
            return f"what was entered {since} is not in it; it is saved as {', '.join(self.safety)}"
        kept = f", only in {self.previous}" if self.previous and not self.dropped else ""
        return f"what was entered {since} is not in it, and was not saved{kept}"


def _shown(time: datetime) -> str:
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
