"""Which archives of a store stay, and which may go: decided from their names, sizes and times alone.

Four things make this safe against clocks and against whoever else writes into the bucket:

* The days are counted back from the newest archive, not from this machine's clock. A server that has stopped loses
  nothing, and a clock that is years fast removes nothing.
* An archive whose name is ahead of the time at which the store got it is never the newest, and stands for no other one.
* An archive that the store got long after the time in its name stands for others of that kind only: nobody can lay an
  archive of last year into the bucket that takes the place of a real one.
* Each rule takes the last archive of its period, and every period that counts today has counted on all days before. So
  an archive that stands for its period is not removed meanwhile, and pruning each day leaves what pruning once leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..errors import SettingsError
from ..storage.catalog import Archive
from ..system.timestamps import MOST_AHEAD

FOREVER = -1
AHEAD = "its name is ahead of the time at which the store got it"
NEWEST = "the newest"
_LATE = timedelta(days=1)
"""What the store got so long after the time in its name is late: copied from elsewhere, or made up."""


@dataclass(frozen=True)
class Policy:
    """How many periods count, back from the newest archive: 0 is none, -1 is all there are.

    :ivar keep_all_days: days of which every archive stays
    :ivar most_percent: percent of the archives that may go at once
    :raises SettingsError: a number is out of range, or nothing but the newest archive would stay
    """

    keep_all_days: int = 30
    keep_daily: int = 180
    keep_weekly: int = 52
    keep_monthly: int = 36
    keep_yearly: int = FOREVER
    most_percent: int = 50

    def __post_init__(self) -> None:
        counts = (self.keep_all_days, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly)
        if min(counts) < FOREVER:
            raise SettingsError("a number of periods to keep is below -1", "0 keeps none, -1 keeps all")
        if not 0 <= self.most_percent <= 100:
            raise SettingsError(f"{self.most_percent} percent may go at once", "use a number from 0 to 100")
        if not any(counts):
            raise SettingsError(
                "nothing but the newest archive would stay", "keep some days, weeks, months or years at least"
            )


@dataclass(frozen=True)
class Known:
    """What was found out of single archives, by their keys, each with the reason in words.

    :ivar unfit: those that cannot be restored: they stand for no other archive, and stay for somebody to look at
    :ivar protected: those that stay whatever the policy says
    """

    unfit: Mapping[str, str] = field(default_factory=dict)
    protected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What goes, oldest first, and what stays, newest first, with one reason each.

    :ivar unfit: keys of those that stay and stand for no other archive
    :ivar special: keys of those that stay although no period of the policy keeps them; the unfit are among them
    """

    goes: tuple[Archive, ...]
    stays: Mapping[Archive, str]
    unfit: frozenset[str] = frozenset()
    special: frozenset[str] = frozenset()

    @property
    def newest(self) -> Archive | None:
        """The newest archive that can be this application's; None where there is none."""
        return next((archive for archive, reason in self.stays.items() if reason == NEWEST), None)

    @property
    def oldest(self) -> Archive | None:
        """The oldest of those that stay and can be restored; None where there is none."""
        return min((each for each in self.stays if each.key not in self.unfit), key=_age, default=None)

    def is_more_than(self, percent: int) -> bool:
        """Given a percentage, return whether a larger share of the archives goes."""
        return len(self.goes) * 100 > percent * (len(self.goes) + len(self.stays))


def is_ahead(archive: Archive, now: datetime) -> bool:
    """Given an archive and the time (aware), return whether its name is of a time that cannot have been yet.

    The store's own time of it decides; `now` only where the store tells none.
    """
    return archive.stamp - (archive.modified or now) > MOST_AHEAD


def decide(archives: Sequence[Archive], policy: Policy, known: Known, now: datetime) -> Plan:
    """Given the archives of a store, the policy, what is known of some, and the time (aware), return what goes."""
    reasons: dict[str, str] = {each.key: AHEAD for each in archives if is_ahead(each, now)}
    reasons |= {each.key: known.unfit[each.key] for each in archives if each.key in known.unfit}
    fit = sorted((each for each in archives if each.key not in reasons), key=_rank)
    unfit, special = frozenset(reasons), set(reasons)
    if fit:
        newest = max(fit, key=_age)
        last = fit[-1]  # the newest one that was not late, if there is one
        reasons |= {last.key: NEWEST if last == newest else "the newest that the store got in time"}
        reasons[newest.key] = NEWEST
        for archive in fit:
            if policy.keep_all_days == FOREVER:
                reasons.setdefault(archive.key, "all stay")
            elif last.stamp - archive.stamp < timedelta(days=policy.keep_all_days):
                reasons.setdefault(archive.key, f"of the last {policy.keep_all_days} days")
        for count, name, number in _rules(policy):
            standing = {number(archive.stamp): archive for archive in fit}  # the last one of a period wins
            for period, archive in standing.items():
                if count == FOREVER or number(last.stamp) - period < count:
                    reasons.setdefault(archive.key, f"the last of its {name}")
    for archive in archives:
        if archive.key in known.protected and archive.key not in reasons:
            reasons[archive.key] = known.protected[archive.key]
            special.add(archive.key)
    ordered = sorted(archives, key=_age)
    return Plan(
        tuple(each for each in ordered if each.key not in reasons),
        {each: reasons[each.key] for each in reversed(ordered) if each.key in reasons},
        unfit,
        frozenset(special),
    )


def _is_late(archive: Archive) -> bool:
    return archive.modified is not None and archive.modified - archive.stamp > _LATE


def _age(archive: Archive) -> tuple[datetime, bool]:
    return archive.stamp, archive.encrypted


def _rank(archive: Archive) -> tuple[bool, datetime, bool]:
    """Which of two archives stands for their period: the later one, but none that was late before one in time."""
    return not _is_late(archive), archive.stamp, archive.encrypted


def _rules(policy: Policy) -> tuple[tuple[int, str, Callable[[datetime], int]], ...]:
    """Return for each rule how many periods count, the period's name, and what numbers the periods (UTC)."""
    return (
        (policy.keep_daily, "day", lambda stamp: stamp.toordinal()),
        (policy.keep_weekly, "week", lambda stamp: (stamp.toordinal() - 1) // 7),  # from Monday on
        (policy.keep_monthly, "month", lambda stamp: stamp.year * 12 + stamp.month),
        (policy.keep_yearly, "year", lambda stamp: stamp.year),
    )
