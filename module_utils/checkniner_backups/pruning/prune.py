"""Old archives leave the store: looked for, decided, removed, looked at again. With the operator's keys alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from ..drill.record import Record, recorded
from ..errors import NotFoundError, SettingsError, StoreError
from ..history.reader import File, files
from ..settings import SAFETY
from ..storage.catalog import Archive, all_archives, parse
from ..storage.removal import Removal, Removed
from ..storage.s3 import Store
from .edges import Heads, examined
from .policy import FOREVER, Known, Plan, Policy, decide, is_ahead

log = logging.getLogger(__name__)

PROVEN = "the newest that a drill has proven"
_READ = 50
"""So many records of good drills are read, from the newest on, to find the newest archive that one has proven."""
_RECORD = 1 << 20  # bytes
_SAFETY_DAYS = 30
"""A safety backup stays so long at least, whatever the policy says of archives."""


@dataclass(frozen=True)
class Intent:
    """What is to be done.

    :ivar safety: safety backups that go
    :ivar records: records of drills and rehearsals that go
    :ivar history: files of the history that go
    :ivar notes: what the operator must know besides, a sentence each
    """

    plan: Plan
    safety: tuple[Archive, ...] = ()
    records: tuple[Record, ...] = ()
    history: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """What is to be removed, each key with its size in bytes, the archives first."""
        things: tuple[Archive | Record | File, ...] = (*self.plan.goes, *self.safety, *self.records, *self.history)
        return {each.key: each.size for each in things}


@dataclass
class Pruned:
    """What was done: the intent, and what the store made of it."""

    intent: Intent
    removed: Removed = field(default_factory=Removed)

    @property
    def archives(self) -> list[str]:
        """Keys of the archives that are gone."""
        gone = set(self.removed.gone)
        return [each.key for each in self.intent.plan.goes if each.key in gone]


def intend(store: Store, policy: Policy, removal: Removal) -> Intent:
    """Given a store and the policy, find out what is to be removed, and remove nothing.

    :raises StoreError: the store cannot be reached, or refuses to be listed or read
    """
    archives = list(all_archives(store))
    records = recorded(store)
    now = datetime.now(timezone.utc)
    heads = Heads(store)
    plan, known = examined(archives, policy, Known(protected=_proven(store, archives, records)), now, heads)
    safety = _old_safety(store, policy, plan, now)
    held = removal.held([each.key for each in (*plan.goes, *safety)])
    if held:
        plan = decide(archives, policy, Known(known.unfit, {**known.protected, **held}), now)
    notes = []
    if heads.unread:
        notes.append(f"not each archive could be asked which keys open it: {heads.unread}")
    try:
        history = _old_history(files(store), plan)
    except StoreError as error:  # keys that were given their rights before there was a history
        history = ()
        notes.append(f"the history stays: {error.message}; scripts/policy --prune prints the rights that it needs")
    safety = tuple(each for each in safety if each.key not in held)
    return Intent(plan, safety, _old_records(records, plan), history, tuple(notes))


def check_share(intent: Intent, policy: Policy, *, agreed: bool) -> None:
    """Return if no more goes than the policy lets go at once, or somebody has agreed to it.

    :raises SettingsError: more would go
    """
    if not agreed and intent.plan.is_more_than(policy.most_percent):
        goes = len(intent.plan.goes)
        raise SettingsError(
            f"{goes} of {goes + len(intent.plan.stays)} archives would go, which is more than {policy.most_percent}"
            " percent at once; nothing was removed",
            "look at what would go, with --check --diff; if that is right, say -e yes=true",
        )


def prune(store: Store, removal: Removal, intent: Intent) -> Pruned:
    """Given the intent, remove, and look whether it is gone.

    :raises StoreError: the store refused everything, or something could not be removed; the rest was removed
    """
    done = Pruned(intent)
    if not intent.sizes:
        return done
    removed = done.removed = removal.remove(intent.sizes)
    for each in {archive.key for archive in all_archives(store)} & set(removed.gone):
        removed.gone.remove(each)
        removed.failed[each] = "the store still lists it"
    if removed.failed:
        key, code = next(iter(removed.failed.items()))
        raise StoreError(
            f"{len(removed.failed)} of {len(intent.sizes)} objects could not be removed from {store}, such as {key}:"
            f" {code}; {len(removed.gone)} were removed",
            "run it again: what is gone stays gone, and the rest is tried anew",
        )
    if removed.kept and not removed.gone:
        raise StoreError(
            f"{store} refused to remove each of {len(removed.kept)} objects"
            f" ({', '.join(sorted(set(removed.kept.values())))})",
            "these keys may not remove, or the store keeps all of it: scripts/policy --prune prints the rights",
        )
    return done


def _proven(store: Store, archives: list[Archive], records: list[Record]) -> Mapping[str, str]:
    """Return the key of the newest archive that a drill has proven, with the reason; nothing where there is none."""
    there = {each.key: each for each in archives}
    found = []
    for record in [each for each in records if each.good][:_READ]:
        try:
            said = json.loads(store.read_head(record.key, _RECORD))
        except (NotFoundError, ValueError):  # gone, or written by somebody else
            continue
        key = said.get("archive") if isinstance(said, dict) else None
        if isinstance(key, str) and key in there:
            found.append(there[key])
    newest = max(found, key=lambda each: each.stamp, default=None)
    return {newest.key: PROVEN} if newest else {}


def _old_safety(store: Store, policy: Policy, plan: Plan, now: datetime) -> tuple[Archive, ...]:
    """Return the safety backups of before the time of which all archives stay, but never the newest of them."""
    if plan.newest is None or policy.keep_all_days == FOREVER:
        return ()
    folder = store.prefix + SAFETY
    objects = (each for page in store.pages(folder) for each in page.objects)
    found = (parse(each.key, folder, each.size, each.modified) for each in objects)
    fit = sorted((each for each in found if each and not is_ahead(each, now)), key=lambda each: each.stamp)
    until = plan.newest.stamp - timedelta(days=max(policy.keep_all_days, _SAFETY_DAYS))
    return tuple(each for each in fit[:-1] if each.stamp < until)


def _old_records(records: list[Record], plan: Plan) -> tuple[Record, ...]:
    """Return the records of before the oldest archive that stays, but never the newest good one."""
    if plan.oldest is None:
        return ()
    newest_good = next((each for each in records if each.good), None)
    return tuple(each for each in records if each.stamp < plan.oldest.stamp and each != newest_good)


def _old_history(history: list[File], plan: Plan) -> tuple[File, ...]:
    """Return the files that tell of nothing since the oldest archive that stays: what follows one begins before it.

    The last file before that archive stays: the first change after it is told by comparison with that file.
    """
    if plan.oldest is None:
        return ()
    before = [each for each in history if each.stamp <= plan.oldest.stamp]
    return tuple(before[:-1])
