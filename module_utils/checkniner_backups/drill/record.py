"""What came of drills: a table for people, and a record of each in the store, beside the archives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import StoreError
from ..settings import DRILLS
from ..state.last_rehearsal import FAILED, IMPOSSIBLE, REHEARSED
from ..system.timestamps import human_duration, parse_iso

if TYPE_CHECKING:
    from ..storage.catalog import Listing
    from ..storage.s3 import Store

GOOD, UNPROVEN, BAD = "good", "not proven", "bad"
_KEY = re.compile(r"([0-9-]{10}T[0-9:]{8})(?:\.([a-z-]+))?\.json\Z")
_ENDINGS = ("not-proven", "bad")
"""Of the keys of drills that were not good."""
DRILLED, REHEARSED_THERE = "drill", "rehearsal"
UNKNOWN = "not known"


@dataclass(frozen=True)
class Result:
    """What came of one archive. `sql`, `fixtures` and `both` are words; `size` is in bytes, `seconds` in all.

    :param database: the name of the database that the archive is of, and `role` that of its owner; in no record
    """

    archive: str
    verdict: str
    sql: str
    fixtures: str
    both: str
    size: int
    seconds: float
    at: str
    engine: str = __version__
    database: str = ""
    role: str = ""

    def for_record(self) -> dict[str, object]:
        """Return what is recorded, where whoever may read the bucket can read it."""
        return {name: value for name, value in asdict(self).items() if name not in ("database", "role")}

    def sentence(self) -> str:
        """Return what came of it, for people."""
        when = self.at.replace("T", " ").removesuffix("Z")
        return f"{self.archive} was restored and proven on {when} UTC, which took {human_duration(self.seconds)}."


@dataclass(frozen=True)
class Drilled:
    """A result and the key of its record; or, where it could not be recorded, no key and why not, in words."""

    result: Result
    record: str
    fault: str = ""


def record(store: Store, result: Result) -> str:
    """Given a result, store it and return its key. A key tells a good drill from others: who may only list sees it.

    :raises StoreError: it could not be stored
    """
    timestamp = parse_iso(result.at)
    ending = "" if result.verdict == GOOD else f".{result.verdict.replace(' ', '-')}"
    while True:
        key = f"{store.prefix}{DRILLS}{timestamp:%Y-%m-%dT%H:%M:%S}{ending}.json"
        if store.look(key) is None:
            store.put_json(key, result.for_record())
            return key
        timestamp += timedelta(seconds=1)


def last_good(store: Listing) -> datetime | None:
    """Given a store, return when (UTC) the last good drill was; None if there was none. Lists, and reads nothing."""
    newest = _last_good(store)
    return newest.stamp if newest else None


def last_good_result(store: Store) -> Result | None:
    """Given a store, return what came of the last good drill, as its record tells; None if there was none.

    :raises StoreError: the record cannot be read
    """
    newest = _last_good(store)
    if newest is None:
        return None
    told = store.get_json(newest.key)
    try:
        result = Result(**told)
        result.sentence()
    except (TypeError, AttributeError):  # of a later version, or not of ours
        return None
    return result


def _last_good(store: Listing) -> Record | None:
    return next((each for each in recorded(store) if each.good), None)


@dataclass(frozen=True)
class Record:
    """What a record's key says: when (aware, UTC) a drill or a rehearsal ended, and what came of it.

    :param ending: empty for a good drill, else the verdict; REHEARSED_THERE for a rehearsal
    :param size: bytes
    """

    key: str
    stamp: datetime
    ending: str
    size: int

    @property
    def good(self) -> bool:
        """Whether it is that of a good drill."""
        return not self.ending


def recorded(store: Listing) -> list[Record]:
    """Given a store, return the records in it, newest first. Lists, and reads nothing."""
    from ..storage.catalog import stamped

    found = (
        Record(each.key, stamp, match[2] or "", each.size)
        for each, stamp, match in stamped(store, store.prefix + DRILLS, _KEY)
    )
    return sorted(found, key=lambda each: (each.stamp, each.key), reverse=True)


@dataclass(frozen=True)
class Trial:
    """A drill or a rehearsal that is on record.

    :ivar at: when it was (aware, UTC)
    :ivar kind: DRILLED or REHEARSED_THERE
    :ivar verdict: GOOD, UNPROVEN, BAD; UNKNOWN where the record was not read, or says nothing that we know
    """

    at: datetime
    kind: str
    verdict: str


def trials(store: Store, read: int = 12) -> list[Trial]:
    """Given a store, return the drills and rehearsals that are on record there, newest first.

    A drill's record tells its verdict by its key. That of a rehearsal has to be read, and was written by the server.

    :param read: so many of the newest rehearsals are read
    """
    found = []
    for each in recorded(store):
        if each.ending == REHEARSED_THERE:
            read -= 1
            found.append(Trial(each.stamp, REHEARSED_THERE, _verdict(store, each.key) if read >= 0 else UNKNOWN))
        elif each.ending in ("", *_ENDINGS):
            found.append(Trial(each.stamp, DRILLED, (each.ending or GOOD).replace("-", " ")))
    return found


def _verdict(store: Store, key: str) -> str:
    """Given the key of a rehearsal's record, return its verdict in our words."""
    try:
        told = store.get_json(key)
    except StoreError:
        return UNKNOWN
    words = {REHEARSED: GOOD, FAILED: BAD, IMPOSSIBLE: UNPROVEN}
    verdict = told.get("verdict") if isinstance(told, dict) else None
    return words.get(verdict, UNKNOWN) if isinstance(verdict, str) else UNKNOWN


def rows(drilled: Sequence[Drilled]) -> list[list[str]]:
    """Given results, return them as the rows of a table: archive, verdict, seconds, and three lines of words each."""
    found = []
    for done in drilled:
        each = done.result
        found.append([each.archive, each.verdict, f"{each.seconds:.1f} s", f"SQL: {each.sql}"])
        found.append(["", "", "", f"fixtures: {each.fixtures}"])
        found.append(["", "", "", f"SQL and fixtures: {each.both}"])
        if done.fault:
            found.append(["", "", "", done.fault])
    return found
