"""What is stored: which archive is the newest, which one was the newest at a timestamp.

The keys sort by time and hold natural delimiters, so a LIST can be asked for the years, the months of one year, the
days of one month, the archives of one day: four requests to the newest, however many there are and however old it is.
Where a level holds nothing of ours (other keys live below the prefix too), the walk steps back to the one before.

Some stores know no delimiter but "/" (`rclone serve s3`) and answer with keys. Then all keys are listed, page by page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

from ..system.timestamps import CLOCKS, MOST_AHEAD, latest_stamp
from .client import Page, StoredObject
from .s3 import ARCHIVE_NAME

log = logging.getLogger(__name__)

_LEVELS = (("-", re.compile(r"[0-9]{4}-\Z")), ("-", re.compile(r"[0-9]{4}-[0-9]{2}-\Z")),
           ("T", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T\Z")))  # fmt: skip
_LAST = datetime.max.replace(tzinfo=timezone.utc) - MOST_AHEAD
_SKEW = timedelta(minutes=15)
"""By so much a store lets the clock of its clients differ from its own."""
_STAMP = "%Y-%m-%dT%H:%M:%S"


class Listing(Protocol):
    """What this room needs of a store."""

    prefix: str

    def pages(self, prefix: str | None = None, delimiter: str = "") -> Iterator[Page]:
        """Given a key prefix and a delimiter, yield what is there, one request at a time."""
        ...

    def head(self, key: str) -> StoredObject:
        """Given a key, return what the store says of the object, with what was noted with it."""
        ...


@dataclass(frozen=True)
class Archive:
    """A stored archive. `stamp` is the aware UTC time in its key, `size` is in bytes.

    :ivar modified: when it was stored, by the store's clock (aware); None where that is not known
    """

    key: str
    stamp: datetime
    size: int
    encrypted: bool
    modified: datetime | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The file name: the key without the prefix."""
        return file_name(self.stamp, self.encrypted)


def stamped(
    store: Listing, folder: str, name: re.Pattern[str]
) -> Iterator[tuple[StoredObject, datetime, re.Match[str]]]:
    """Given a store, a folder in it and the form of a name, whose first group is a stamp, yield what is there of that
    form: the object, its aware UTC time, and the match. Lists, and reads nothing."""
    for page in store.pages(folder):
        for each in page.objects:
            if match := name.fullmatch(each.key[len(folder) :]):
                with suppress(ValueError):  # the 31st of February
                    yield each, datetime.strptime(match[1], _STAMP).replace(tzinfo=timezone.utc), match


def file_name(stamp: datetime, encrypted: bool) -> str:
    """Given an archive's aware time and whether it is encrypted, return its file name."""
    return f"{shown(stamp)}.tar.gz{'.gpg' if encrypted else ''}"


def parse(key: str, prefix: str, size: int = 0, modified: datetime | None = None) -> Archive | None:
    """Given a key, the store's prefix and a size in bytes, return the archive. None if the key is not one of ours."""
    match = ARCHIVE_NAME.match(key[len(prefix) :]) if key.startswith(prefix) else None
    if not match:
        return None
    try:
        stamp = datetime.strptime(match[1], _STAMP).replace(tzinfo=timezone.utc)
    except ValueError:  # the 31st of February
        return None
    return Archive(key, stamp, size, encrypted=match[2] is not None, modified=modified)


@dataclass(frozen=True)
class Newest:
    """What a search for the newest archive found.

    :ivar archive: the newest one that can be an application's; None where there is none
    :ivar ahead: one whose stamp is over a day in the future, so that no tick made it; None where there is none
    """

    archive: Archive | None
    ahead: Archive | None = None


def newest(store: Listing) -> Archive | None:
    """Given a store, return its newest archive, None if there is none. Four LISTs, unless other keys are in the way.

    One whose stamp is over a day in the future is never the newest: a single object with such a name, whoever put it
    there, would hide every archive. It is logged.
    """
    return find_newest(store).archive


def find_newest(store: Listing) -> Newest:
    """Given a store, return what `newest` does, and one archive of the future where there is one."""
    first = next(_walk(store, "", ""), None)
    # When the object was stored is the past, whatever this machine's clock says.
    if first is None or first.stamp <= (until := latest_stamp(first.modified)):
        return Newest(first)
    log.warning(
        "%s in %s is of %s UTC, which is in the future: it is left out. Look who else writes there",
        first.key, store, shown(first.stamp),
    )  # fmt: skip
    return Newest(next(_walk(store, "", shown(until)), None), first)


def newest_at_or_before(store: Listing, timestamp: datetime) -> Archive | None:
    """Given an aware timestamp, return the archive that was the newest then. None if there was none yet.

    Names keep the order in which archives were made. After a clock was fast, they are ahead of the time of the data,
    until the time has caught up: where the store had an archive before the time in its name, its own record of the time
    decides.
    """
    for found in _walk(store, "", shown(min(timestamp, _LAST) + MOST_AHEAD)):
        if found.stamp <= timestamp:
            return newest(store) if found.stamp > latest_stamp(found.modified) else found
        if _is_older_than_its_name(store, found, timestamp):
            return found
    return None


def _is_older_than_its_name(store: Listing, archive: Archive, timestamp: datetime) -> bool:
    """Return whether the archive's data are of the timestamp or before, although its name is of later."""
    stored = archive.modified
    if stored is None or stored > archive.stamp - CLOCKS or stored > timestamp + _SKEW:
        return False
    created = store.head(archive.key).created
    if created and created <= stored + CLOCKS:
        return created <= timestamp
    log.warning(
        "%s is of %s UTC by its name, but the store has it since %s UTC: a clock was wrong. It is taken as of the time"
        " in its name; to restore it, name it as the archive",
        archive.key, shown(archive.stamp), shown(stored),
    )  # fmt: skip
    return False


def oldest_after(store: Listing, timestamp: datetime) -> Archive | None:
    """Given an aware timestamp, return the first archive after it. None if there is none."""
    return next(_walk(store, shown(timestamp), "", newest_first=False), None)


def around(store: Listing, timestamp: datetime) -> tuple[Archive | None, Archive | None]:
    """Given an aware timestamp, return the last archive at or before it and the first one after it."""
    return newest_at_or_before(store, timestamp), oldest_after(store, timestamp)


def all_archives(store: Listing, after: datetime | None = None, until: datetime | None = None) -> Iterator[Archive]:
    """Given a store and two aware timestamps (None: no bound), yield the archives between them, both bounds included,
    newest first. A month is listed when its first archive is asked for."""
    first, last = shown(after) if after else "", shown(until) if until else ""

    def within(start: str) -> bool:
        return first[: len(start)] <= start and (not last or start <= last[: len(start)])

    try:
        years = _prefixes(store, "", 0)
    except _DelimiterIgnoredError:
        yield from (each for each in _archives(store, "") if within(shown(each.stamp)))
        return
    for year in filter(within, years):
        for month in filter(within, _prefixes(store, year, 1)):
            yield from (each for each in _archives(store, month) if within(shown(each.stamp)))


def shown(timestamp: datetime) -> str:
    """Given an aware timestamp, return the text that names an archive, in UTC."""
    return timestamp.astimezone(timezone.utc).strftime(_STAMP)


def _walk(store: Listing, after: str, until: str, *, newest_first: bool = True) -> Iterator[Archive]:
    """Walk the archives with `after` < stamp <= `until` (empty: no bound), listing a day when it is reached.

    Texts are compared, not times: a year, month or day is the start of the stamps in it.
    """

    def within(start: str) -> bool:
        return (not until or start <= until[: len(start)]) and start >= after[: len(start)]

    def days() -> Iterator[str]:
        for year in filter(within, _prefixes(store, "", 0, newest_first)):
            for month in filter(within, _prefixes(store, year, 1, newest_first)):
                yield from filter(within, _prefixes(store, month, 2, newest_first))

    def archives() -> Iterator[Archive]:
        try:
            for day in days():
                yield from _archives(store, day, newest_first)
        except _DelimiterIgnoredError:  # raised by the first LIST, before anything was yielded
            yield from _archives(store, "", newest_first)

    for archive in archives():
        stamp = shown(archive.stamp)
        if stamp > after and (not until or stamp <= until):
            yield archive


class _DelimiterIgnoredError(Exception):
    """The store answered with keys that the delimiter should have rolled up."""


def _prefixes(store: Listing, start: str, level: int, newest_first: bool = True) -> list[str]:
    """Given the start of a stamp, return the next longer ones that are stored ("2026-" to "2026-11-").

    :raises _DelimiterIgnoredError: the store does not know the delimiter; asked at the first level
    """
    delimiter, form = _LEVELS[level]
    found: set[str] = set()
    for page in store.pages(store.prefix + start, delimiter):
        if level == 0 and any(delimiter in each.key[len(store.prefix) :] for each in page.objects):
            log.debug("%s knows no delimiter %r: all keys are listed", store, delimiter)
            raise _DelimiterIgnoredError
        found.update(prefix[len(store.prefix) :] for prefix in page.prefixes)
    return sorted(filter(form.match, found), reverse=newest_first)


def _archives(store: Listing, start: str, newest_first: bool = True) -> list[Archive]:
    objects = (each for page in store.pages(store.prefix + start) for each in page.objects)
    return _sorted(objects, store.prefix, newest_first)


def _sorted(objects: Iterable[StoredObject], prefix: str, newest_first: bool) -> list[Archive]:
    """Given objects in any order, return the archives among them, sorted. Of two with one stamp, encrypted is newer."""
    found = (parse(each.key, prefix, each.size, each.modified) for each in objects)
    return sorted(filter(None, found), key=lambda each: (each.stamp, each.encrypted), reverse=newest_first)
