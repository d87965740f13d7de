"""What the store holds of one server: its archives, the longest time without one, its drills and rehearsals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..drill.record import DRILLED, GOOD, Trial, trials
from ..errors import SettingsError
from ..pruning.edges import Heads, Readable, ends
from ..storage.catalog import Archive, all_archives
from ..system.text import human_size, table
from ..system.timestamps import human_age, human_duration, iso, latest_stamp, parse_bound, parse_iso

if TYPE_CHECKING:
    from ..storage.s3 import Store

_AHEAD = 20
"""So many archives of the future are named."""


@dataclass(frozen=True)
class Gap:
    """A time without an archive. Both ends are aware, UTC."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.end - self.start).total_seconds()

    def sentence(self) -> str:
        """Return it in words."""
        return f"{human_duration(self.seconds)}, from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Opened:
    """Archives one after the other that the same keys open.

    :ivar first: when the first of them was made (aware, UTC), `last` the last one
    :ivar keys: the ids of the encryption keys as gpg shows them; any one of them is enough
    """

    first: datetime
    last: datetime
    keys: tuple[str, ...]

    def sentence(self) -> str:
        """Return it in words."""
        need = f"need the key {self.keys[0]}" if len(self.keys) == 1 else f"need one of the keys {', '.join(self.keys)}"
        return f"archives from {_shown(self.first)} to {_shown(self.last)} {need}"


@dataclass(frozen=True)
class Stored:
    """What the store holds of one server, newest first.

    :ivar now: when the store was asked (aware, UTC)
    :ivar archives: those that were asked for
    :ivar more: whether older ones are there that were not asked for
    :ivar ahead: keys of archives whose stamp is in the future: no tick with a right clock made them
    :ivar end: up to when archives were asked for
    :ivar newest: whether the first archive is the newest one of all
    :ivar opened: which keys the archives need, the newest first; empty where all need the same, or none, or where the
        archives could not be read
    """

    now: datetime
    archives: tuple[Archive, ...] = ()
    more: bool = False
    ahead: tuple[str, ...] = ()
    trials: tuple[Trial, ...] = ()
    end: datetime | None = None
    newest: bool = True
    gap: Gap | None = field(default=None)
    opened: tuple[Opened, ...] = ()

    def last(self, kind: str, verdict: str = "") -> Trial | None:
        """Given a kind of trial, and a verdict or none, return the last one of it."""
        return next((each for each in self.trials if each.kind == kind and verdict in ("", each.verdict)), None)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can express it: times are ISO 8601, UTC; ages in seconds, sizes in bytes."""
        return {
            "asked_at": iso(self.now),
            "archives": [
                {
                    "key": each.key,
                    "name": each.name,
                    "stamp": iso(each.stamp),
                    "size": each.size,
                    "age": (self.now - each.stamp).total_seconds(),
                }
                for each in self.archives
            ],
            "more": self.more,
            "ahead": list(self.ahead),
            "newest": self.newest,
            "end": iso(self.end) if self.end else "",
            "gap": {
                "start": iso(self.gap.start),
                "end": iso(self.gap.end),
                "seconds": self.gap.seconds,
            }
            if self.gap
            else None,
            "opened": [
                {"first": iso(each.first), "last": iso(each.last), "keys": list(each.keys)} for each in self.opened
            ],
            "trials": [{"at": iso(each.at), "kind": each.kind, "verdict": each.verdict} for each in self.trials],
        }

    def lines(self, most: int = 20) -> list[str]:
        """Return it as lines for a terminal, at most so many archives."""
        rows = [
            [
                _shown(each.stamp),
                human_age((self.now - each.stamp).total_seconds()),
                human_size(each.size),
                each.name,
            ]
            for each in self.archives[:most]
        ]
        lines = table(rows, ["WHEN", "AGE", "SIZE", "NAME"]).splitlines() if rows else ["no archive"]
        if len(self.archives) > most or self.more:
            hidden = len(self.archives) - most
            older = f"{hidden} older ones are not shown" if hidden > 0 and not self.more else "older ones are not shown"
            lines.append(f"({older})")
        if self.gap:
            lines.append(f"longest time without an archive, of these: {self.gap.sentence()}")
        lines += [each.sentence() for each in self.opened]
        drill = self.last(DRILLED)
        lines.append(f"last drill: {_trial(drill, self.now)}")
        if drill and drill.verdict != GOOD:
            lines.append(f"last good drill: {_trial(self.last(DRILLED, GOOD), self.now)}")
        lines += [f"in the future, and left out: {key}" for key in self.ahead]
        return lines


def look(store: Store, count: int, start: str = "", end: str = "") -> Stored:
    """Given a store, how many archives to look at, and two times in words (empty: no bound), return what is there.

    :raises SettingsError: a time cannot be understood, or the bounds leave nothing between them
    :raises StoreError: the store cannot be asked
    """
    if count < 1:
        raise SettingsError(f"the count is {count}", "ask for one archive at least")
    after, until = parse_bound(start), parse_bound(end, of_day_end=True)
    if after and until and after > until:
        raise SettingsError(f"from {start!r} to {end!r} there is no time", "give the earlier one as from")
    now = datetime.now(timezone.utc).replace(microsecond=0)
    ahead: list[str] = []
    found: list[Archive] = []
    for each in all_archives(store, after, until):
        if each.stamp > latest_stamp(each.modified):
            ahead.append(each.key)
            continue
        found.append(each)
        if len(found) > count:
            break
    archives = tuple(islice(found, count))
    last = min(until, now) if until else now
    return Stored(
        now, archives, more=len(found) > count, ahead=tuple(ahead[:_AHEAD]), trials=tuple(trials(store)),
        end=last, newest=until is None or until >= now, gap=longest_gap([each.stamp for each in archives], last),
        opened=opened_by(archives, store),
    )  # fmt: skip


def opened_by(archives: Sequence[Archive], store: Readable) -> tuple[Opened, ...]:
    """Given archives, newest first, and their store, return which keys they need, the newest first.

    The first bytes of the newest and of the oldest one are read, and where their keys differ, those of the ones between
    which the keys change: found by halves. Empty where all need the same, or where one could not be read.
    """
    heads, found = Heads(store), list[Opened]()
    run = [each for each in reversed(archives) if each.encrypted]
    for each in sorted(ends(run, heads), key=lambda each: each.stamp) if run else ():
        keys = tuple(sorted(heads.keys(each) or ()))
        if found and found[-1].keys == keys:
            found[-1] = Opened(found[-1].first, each.stamp, keys)
        elif keys:
            found.append(Opened(each.stamp, each.stamp, keys))
    return tuple(reversed(found)) if len(found) > 1 and not heads.unread else ()


def longest_gap(stamps: Sequence[datetime], end: datetime) -> Gap | None:
    """Given the times of archives, newest first, and the end of the time that is looked at, return the longest time
    without an archive. None where there is no archive."""
    ends = [end, *stamps]
    gaps = [Gap(older, newer) for newer, older in zip(ends, stamps, strict=False) if newer > older]
    return max(gaps, key=lambda gap: gap.seconds, default=None)


def parse(value: Mapping[str, Any]) -> Stored:
    """Given what `as_dict` has made, return it.

    :raises ValueError, KeyError, TypeError, AttributeError: it was not made by `as_dict`
    """
    archives = tuple(
        Archive(each["key"], parse_iso(each["stamp"]), int(each["size"]), each["key"].endswith(".gpg"))
        for each in value["archives"]
    )
    gap, end = value["gap"], value["end"]
    return Stored(
        parse_iso(value["asked_at"]), archives, more=bool(value["more"]), ahead=tuple(map(str, value["ahead"])),
        trials=tuple(
            Trial(parse_iso(each["at"]), str(each["kind"]), str(each["verdict"])) for each in value["trials"]
        ),
        end=parse_iso(end) if end else None, newest=bool(value["newest"]),
        gap=Gap(parse_iso(gap["start"]), parse_iso(gap["end"])) if gap else None,
        opened=tuple(
            Opened(parse_iso(each["first"]), parse_iso(each["last"]), tuple(map(str, each["keys"])))
            for each in value.get("opened", ())
        ),
    )  # fmt: skip


def _shown(stamp: datetime) -> str:
    return f"{stamp:%Y-%m-%d %H:%M:%S} UTC"


def _trial(trial: Trial | None, now: datetime) -> str:
    if trial is None:
        return "none is on record"
    return f"{trial.verdict}, {_shown(trial.at)} ({human_age((now - trial.at).total_seconds())})"
