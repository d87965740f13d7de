"""What the first bytes of archives tell before others go: whether they are archives at all, and whose keys open them.

One request for each archive would be too much, so those at the edges are read: where in the order of time an archive
that goes lies beside one that stays, both; and where the key is another one after a row of archives that go than before
it, those between which it changed. A key that came and went again within such a row is not seen. Which server signed an
archive lies inside of the encryption, and is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol

from ..errors import NotFoundError, StoreError
from ..openpgp.recipients import recipients
from ..storage.catalog import Archive
from .policy import Known, Plan, Policy, decide

_HEAD = 8192
"""Bytes: the packets of several recipients, each of them of up to 600 bytes."""
_GZIP = b"\x1f\x8b"
_PLAIN = "none"
_NO_ARCHIVE = "its first bytes are not those of an archive: nobody could restore it"


class Readable(Protocol):
    """What this room needs of a store."""

    def read_head(self, key: str, size: int) -> bytes:
        """Given a key and a number of bytes, return the object's first ones."""
        ...


class Heads:
    """The first bytes of archives, each read once.

    :ivar unread: why some could not be read; empty where each was
    """

    def __init__(self, store: Readable) -> None:
        self._store = store
        self._keys: dict[str, frozenset[str] | None] = {}
        self.unread = ""

    def keys(self, archive: Archive) -> frozenset[str] | None:
        """Given an archive, return the ids of the keys that open it; empty where it is no archive, None where that
        cannot be known."""
        if archive.key not in self._keys:
            self._keys[archive.key] = self._read(archive)
        return self._keys[archive.key]

    def _read(self, archive: Archive) -> frozenset[str] | None:
        try:
            head = self._store.read_head(archive.key, _HEAD)
        except NotFoundError:  # it went since it was listed
            return frozenset()
        except StoreError as error:  # such as one that lies in a class of storage for cold things
            self.unread = error.message
            return None
        if archive.encrypted:
            return recipients(head)
        return frozenset({_PLAIN} if head.startswith(_GZIP) else ())


def examined(
    archives: Sequence[Archive], policy: Policy, known: Known, now: datetime, heads: Heads
) -> tuple[Plan, Known]:
    """Given what `decide` needs, return the plan after a look at its edges, and what is known then.

    An archive that is none stands for no other one. The newest archive of a key that no other one at the edges has
    stays. Each time that changes the plan, its new edges are looked at.
    """
    while True:
        plan = decide(archives, policy, known, now)
        goes, stays = _edges(plan, heads)
        empty = {each.key: _NO_ARCHIVE for each in stays if heads.keys(each) == frozenset()}
        if empty:
            known = Known({**known.unfit, **empty}, known.protected)
            continue
        opened = frozenset[str]().union(*(heads.keys(each) or () for each in stays))
        lonely = {}
        for each in sorted(goes, key=lambda each: each.stamp, reverse=True):
            missing = (heads.keys(each) or frozenset()) - opened
            if missing:
                lonely[each.key] = _only(missing)
                opened |= missing
        if not lonely:
            return plan, known
        known = Known(known.unfit, {**known.protected, **lonely})


def _only(keys: frozenset[str]) -> str:
    if _PLAIN in keys:
        return "the only one seen that is not encrypted"
    return f"the only one seen that key {', '.join(sorted(keys))} opens"


def _edges(plan: Plan, heads: Heads) -> tuple[list[Archive], list[Archive]]:
    """Given a plan, return the archives that go beside one that stays or where the key changes, and those that stay
    beside one that goes."""
    gone = set(plan.goes)
    fit = (each for each in (*plan.goes, *plan.stays) if each.key not in plan.unfit)
    ordered = sorted(fit, key=lambda each: (each.stamp, each.encrypted))
    runs = [(goes, list(run)) for goes, run in groupby(ordered, key=gone.__contains__)]
    goes = [each for is_gone, run in runs if is_gone for each in ends(run, heads)]
    stays = []
    for number, (is_gone, run) in enumerate(runs):
        if not is_gone:
            beside = ({run[0]} if number else set()) | ({run[-1]} if number + 1 < len(runs) else set())
            stays += list(beside)
    return goes, stays


def ends(run: Sequence[Archive], heads: Heads) -> set[Archive]:
    """Given archives in the order of time, return the first, the last, and those between which the key
    changes: found by halves, a dozen requests among thousands."""
    found, waiting = {run[0], run[-1]}, [(0, len(run) - 1)]
    while waiting:
        first, last = waiting.pop()
        keys = heads.keys(run[first]), heads.keys(run[last])
        # What is no archive names no key: two of these say nothing of what lies between them.
        if (keys[0] == keys[1] and keys[0]) or None in keys:
            continue
        if last - first <= 1:
            found |= {run[first], run[last]}
        else:
            middle = (first + last) // 2
            waiting += [(first, middle), (middle, last)]
    return found
