"""Which archives may go: what always holds, over random histories, clocks and policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.pruning.policy import AHEAD, FOREVER, NEWEST, Known, Plan, Policy, decide, is_ahead
from checkniner_backups.storage.catalog import Archive, file_name
from hypothesis import given, settings
from hypothesis import strategies as st

BEGIN = datetime(2023, 12, 28, tzinfo=timezone.utc)  # a Thursday: week, month and year end on different days
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ONLY_DAYS = Policy(0, 3, 0, 0, 0)


def archive(stamp: datetime, modified: datetime | None = None, *, encrypted: bool = True) -> Archive:
    """Return an archive that the store got a minute after its stamp, if nothing else is said."""
    stamp = stamp.replace(microsecond=0)
    return Archive(f"db/{file_name(stamp, encrypted)}", stamp, 7, encrypted, modified or stamp + MINUTE)


def each_day(count: int, begin: datetime = BEGIN, *, times: Sequence[int] = (6, 12, 18)) -> list[Archive]:
    return [archive(begin + day * DAY + timedelta(hours=hour)) for day in range(count) for hour in times]


def plan(archives: Sequence[Archive], policy: Policy, known: Known | None = None, now: datetime = BEGIN) -> Plan:
    return decide(archives, policy, known or Known(), now)


def stamps(archives: Sequence[Archive] | dict[Archive, str]) -> list[str]:
    return [f"{each.stamp:%m-%d %H}" for each in archives]


counts = st.one_of(st.just(FOREVER), st.integers(0, 40))
policies = st.builds(lambda *numbers: Policy(*numbers) if any(numbers) else Policy(), *[counts] * 5)
# Minutes from one archive to the next: bursts, quiet weeks, a server that was off for two years.
gaps = st.lists(st.one_of(st.integers(1, 600), st.integers(1, 20_000), st.integers(1, 1_000_000)), max_size=60)
# By how many minutes the store got it later than its name says; far below 0, a clock was fast or somebody lied.
delays = st.one_of(st.integers(0, 30), st.integers(-3_000_000, 3_000_000))


@st.composite
def histories(draw: st.DrawFn, delays: st.SearchStrategy[int] = delays) -> list[Archive]:
    """Archives in the order of their stamps, each as the store tells of it."""
    moment, found = BEGIN, {}
    for gap in draw(gaps):
        moment += gap * MINUTE
        made = archive(moment, moment + draw(delays) * MINUTE, encrypted=draw(st.integers(0, 9)) > 0)
        found[made.key] = made
    return list(found.values())


@st.composite
def known_of(draw: st.DrawFn, archives: Sequence[Archive]) -> Known:
    some = st.dictionaries(st.sampled_from([each.key for each in archives]), st.just("a reason"), max_size=3)
    return Known(draw(some), draw(some)) if archives else Known()


clocks = st.builds(lambda days: BEGIN + days * DAY, st.integers(-4000, 40_000))


@given(st.data(), histories(), policies, clocks)
@settings(max_examples=300)
def test_what_always_holds(data: st.DataObject, archives: list[Archive], policy: Policy, now: datetime) -> None:
    known = data.draw(known_of(archives))
    found = plan(archives, policy, known, now)
    stays = set(found.stays)
    # Each is decided on once, and with a reason.
    assert sorted(each.key for each in (*found.goes, *stays)) == sorted(each.key for each in archives)
    assert all(found.stays.values())
    for each in archives:
        if each.key in {*known.unfit, *known.protected} or is_ahead(each, now):
            assert each in stays
    fit = [each for each in archives if each.key not in known.unfit and not is_ahead(each, now)]
    if not fit:
        assert not found.goes
        return
    newest = max(fit, key=lambda each: (each.stamp, each.encrypted))
    assert found.stays[newest] == NEWEST
    assert found.newest == newest
    # What goes has left somebody behind who is no worse: in time if it was in time, and newer.
    for gone in found.goes:
        assert any(each.stamp >= gone.stamp and (in_time(each) or not in_time(gone)) for each in stays if each in fit)
    assert found.unfit <= found.special
    assert found.oldest in fit


def in_time(each: Archive) -> bool:
    return each.modified is not None and each.modified - each.stamp <= DAY


@given(st.data(), histories(), policies, clocks, clocks)
def test_pruning_twice_is_pruning_once(
    data: st.DataObject, archives: list[Archive], policy: Policy, now: datetime, later: datetime
) -> None:
    """Whatever the clock says the second time: the store's own times count."""
    known = data.draw(known_of(archives))
    once = plan(archives, policy, known, now)
    assert plan(list(once.stays), policy, known, later).goes == ()


@given(histories(), policies, clocks, clocks)
def test_the_clock_of_this_machine_decides_nothing(
    archives: list[Archive], policy: Policy, now: datetime, other: datetime
) -> None:
    assert plan(archives, policy, now=now) == plan(archives, policy, now=other)


@given(histories(st.integers(0, 30)), histories(), policies)
def test_archives_that_come_late_or_too_early_push_no_other_out(
    ours: list[Archive], others: list[Archive], policy: Policy
) -> None:
    """Somebody adds archives of the past and of the future. No day, week, month or year loses what stood for it."""
    keys = {each.key for each in ours}
    planted = [each for each in others if each.key not in keys and (not in_time(each) or is_ahead(each, BEGIN))]
    alone, together = plan(ours, policy), plan([*ours, *planted], policy)
    if ours:
        assert set(alone.stays) <= set(together.stays)


@given(histories(st.integers(-1000, 1000)), policies, st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_pruning_each_day_leaves_what_pruning_once_leaves(archives: list[Archive], policy: Policy, days: int) -> None:
    """As long as the names follow the order in which the store gets the archives, as the names of a server do."""
    kept: list[Archive] = []
    last = None
    for each in archives:
        if last is not None and (each.stamp - last).days >= days:
            kept = list(plan(kept, policy).stays)
            last = each.stamp
        last = last or each.stamp
        kept.append(each)
    assert set(plan(kept, policy).stays) == set(plan(archives, policy).stays)


def test_years_of_daily_prunes() -> None:
    """Every half an hour for 800 days, pruned each night: what stays is what one prune leaves, and it is little."""
    policy, kept, everything = Policy(7, 60, 26, 18, FOREVER), [], []
    for day in range(800):
        made = [archive(BEGIN + day * DAY + number * 30 * MINUTE) for number in range(48)]
        everything += made
        kept = list(plan([*kept, *made], policy).stays)
    assert set(kept) == set(plan(everything, policy).stays)
    assert len(everything) == 38_400
    assert 7 * 48 < len(kept) < 7 * 48 + 60 + 26 + 18 + 5


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(1, 0, 0, 0, 0), ["01-26 18", "01-26 12", "01-26 06"]),
        (Policy(0, 3, 0, 0, 0), ["01-26 18", "01-25 18", "01-24 18"]),
        (Policy(0, 0, 3, 0, 0), ["01-26 18", "01-21 18", "01-14 18"]),  # Sundays
        (Policy(0, 0, 0, 2, 0), ["01-26 18", "12-31 18"]),
        (Policy(0, 0, 0, 0, FOREVER), ["01-26 18", "12-31 18"]),
        (Policy(0, 2, 2, 2, 2), ["01-26 18", "01-25 18", "01-21 18", "12-31 18"]),
    ],
)
def test_each_rule_keeps_the_last_of_its_periods(policy: Policy, expected: list[str]) -> None:
    assert stamps(plan(each_day(30), policy).stays) == expected


def test_the_days_are_counted_from_the_newest_archive() -> None:
    """A server that was switched off years ago keeps what it had."""
    old = each_day(10)
    long_after = BEGIN + 4000 * DAY
    assert plan(old, Policy(30, 0, 0, 0, 0), now=long_after).goes == ()


def test_a_name_of_the_future_is_not_the_newest_and_stays() -> None:
    ours = each_day(3)
    planted = archive(BEGIN + 9000 * DAY, BEGIN + 2 * DAY)
    for now in (BEGIN, BEGIN + 10_000 * DAY):  # once this machine's clock has passed its name, too
        found = plan([*ours, planted], ONLY_DAYS, now=now)
        assert found.stays[planted] == AHEAD
        assert found.newest == ours[-1]
        assert len(found.goes) == 6


def test_an_archive_of_yesterday_that_came_today_does_not_stand_for_yesterday() -> None:
    ours = each_day(3)
    planted = archive(BEGIN + timedelta(hours=23), BEGIN + 3 * DAY)
    found = plan([*ours, planted], ONLY_DAYS)
    assert ours[2] in found.stays
    assert planted in found.goes


def test_a_bucket_that_was_copied_is_pruned_all_the_same() -> None:
    copied = [replace(each, modified=BEGIN + 500 * DAY) for each in each_day(30)]
    assert stamps(plan(copied, ONLY_DAYS).stays) == ["01-26 18", "01-25 18", "01-24 18"]


def test_where_the_store_tells_no_time_this_machine_does() -> None:
    ours = [replace(each, modified=None) for each in each_day(3)]
    assert not plan(ours, ONLY_DAYS, now=BEGIN - 5 * DAY).goes
    assert len(plan(ours, ONLY_DAYS, now=BEGIN + 5 * DAY).goes) == 6


def test_the_share_that_goes() -> None:
    found = plan(each_day(1, times=(1, 2, 3, 4)), Policy(0, 1, 0, 0, 0))
    assert len(found.goes) == 3
    assert found.is_more_than(74)
    assert not found.is_more_than(75)
    assert not plan([], Policy()).is_more_than(0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Policy(0, 0, 0, 0, 0),
        lambda: Policy(keep_daily=-2),
        lambda: Policy(most_percent=101),
        lambda: Policy(most_percent=-1),
    ],
)
def test_what_no_policy_is(make: Callable[[], Policy]) -> None:
    with pytest.raises(SettingsError):
        make()
