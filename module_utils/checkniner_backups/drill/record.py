"""What came of drills: a table for people, and a record of each in the store, beside the archives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from .. import __version__
from ..settings import DRILLS
from ..system.timestamps import human_duration

if TYPE_CHECKING:
    from ..storage.catalog import Listing
    from ..storage.s3 import Store

GOOD, UNPROVEN, BAD = "good", "not proven", "bad"
_LEFT = re.compile(r"([0-9-]{10}T[0-9:]{8})(\.[a-z-]+)?\.json\Z")


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
    timestamp = datetime.strptime(result.at, "%Y-%m-%dT%H:%M:%SZ")
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
    """What a record's key says: when (aware, UTC) a drill or a rehearsal ended, and whether it was a good drill."""

    key: str
    stamp: datetime
    good: bool
    size: int


def recorded(store: Listing) -> list[Record]:
    """Given a store, return the records in it, newest first. Lists, and reads nothing."""
    folder, found = store.prefix + DRILLS, []
    for page in store.pages(folder):
        for each in page.objects:
            if match := _LEFT.fullmatch(each.key[len(folder) :]):
                with suppress(ValueError):  # the 31st of February
                    stamp = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
                    found.append(Record(each.key, stamp, match[2] is None, each.size))
    return sorted(found, key=lambda each: (each.stamp, each.key), reverse=True)


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
