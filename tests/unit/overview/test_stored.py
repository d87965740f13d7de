"""What the store holds of a server: bounds, gaps, the future, and the records of drills and rehearsals."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import pytest
from checkniner_backups.drill.record import BAD, DRILLED, GOOD, REHEARSED_THERE, UNKNOWN, UNPROVEN
from checkniner_backups.errors import NotFoundError, SettingsError, StoreError
from checkniner_backups.overview.stored import longest_gap, look, parse
from checkniner_backups.storage.s3 import Store

from tests.unit.pruning.test_edges import message
from tests.unit.storage.test_catalog import FakeStore, key

NOW = datetime.now(timezone.utc).replace(microsecond=0)


class Records(FakeStore):
    """A store with records that can be read."""

    def __init__(self, keys: list[str], records: dict[str, Any]) -> None:
        super().__init__([*keys, *records])
        self.records, self.read = records, 0
        self.beginnings, self.beginnings_read = dict[str, bytes](), 0

    def read_head(self, name: str, size: int) -> bytes:
        head = self.beginnings.get(name, message(1)[:size])
        self.beginnings_read += 1
        if not head:
            raise StoreError("in a class of storage for cold things")
        return head

    def get_json(self, name: str) -> Any:
        self.read += 1
        if self.records[name] is None:
            raise NotFoundError("gone")
        return self.records[name]


def store_of(keys: list[str], records: dict[str, Any] | None = None) -> Store:
    return cast(Store, Records(keys, records or {}))


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


def test_bounds_and_count() -> None:
    stamps = [ago(days=day) for day in range(1, 100)]
    store = store_of([key(each) for each in stamps])
    found = look(store, 20)
    assert [each.stamp for each in found.archives] == stamps[:20]
    assert (found.more, found.newest) == (True, True)
    assert look(store, 99).more is False
    day = f"{stamps[40]:%Y-%m-%d}"
    bounded = look(store, 20, f"{stamps[45]:%Y-%m-%dT%H:%M:%S}Z", f"{stamps[40]:%Y-%m-%dT%H:%M:%S}Z")
    assert [each.stamp for each in bounded.archives] == stamps[40:46]
    assert (bounded.more, bounded.newest, bounded.end) == (False, False, stamps[40])
    assert len(look(store, 20, day, day).archives) == 1  # a day counts to its end
    assert cast(FakeStore, store).only == ""
    cast(FakeStore, store).only = "/"  # a store that knows no other delimiter
    assert [each.stamp for each in look(store, 20, "", f"{stamps[40]:%Y-%m-%dT%H:%M:%S}Z").archives] == stamps[40:60]


@pytest.mark.parametrize(("start", "end"), [("yesterday", ""), ("", "2026-13-01"), ("2026-11-22", "2026-11-21")])
def test_wrong_bounds(start: str, end: str) -> None:
    with pytest.raises(SettingsError):
        look(store_of([]), 20, start, end)


def test_a_count_of_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="the count is 0"):
        look(store_of([]), 0)


def test_few_archives_of_many_cost_one_month() -> None:
    store = Records([key(ago(minutes=5 * number)) for number in range(50_000)], {})
    look(cast(Store, store), 20)
    assert store.lists <= 3 + 10 + 1  # the years, the months, a page for each thousand of a month, the records


def test_the_longest_time_without_an_archive_counts_from_the_newest_to_now() -> None:
    stamps = [ago(hours=1), ago(hours=3), ago(hours=10), ago(hours=11)]
    gap = longest_gap(stamps, NOW)
    assert gap
    assert (gap.start, gap.end, gap.seconds) == (ago(hours=10), ago(hours=3), 7 * 3600)
    gap = longest_gap(stamps, NOW + timedelta(hours=20))
    assert gap
    assert gap.start == ago(hours=1)
    assert longest_gap([], NOW) is None


def test_an_archive_of_the_future_is_named_and_not_counted() -> None:
    ahead = key(NOW + timedelta(days=3))
    found = look(store_of([ahead, key(ago(days=1))]), 1)
    assert found.ahead == (ahead,)
    assert [each.stamp for each in found.archives] == [ago(days=1)]
    assert f"in the future, and left out: {ahead}" in found.lines()


def test_records_of_drills_and_rehearsals() -> None:
    def name(days: float, ending: str) -> str:
        return f"db/drills/{ago(days=days):%Y-%m-%dT%H:%M:%S}{ending}.json"

    records: dict[str, Any] = {
        name(1, ""): {}, name(2, ".bad"): {}, name(3, ".not-proven"): {},
        name(4, ".rehearsal"): {"verdict": "rehearsed"}, name(5, ".rehearsal"): {"verdict": "failed"},
        name(6, ".rehearsal"): {"verdict": "cannot be rehearsed"}, name(7, ".rehearsal"): {"verdict": ["<b>"]},
        name(8, ".rehearsal"): "<script>", name(9, ".rehearsal"): None,
        "db/drills/2026-02-31T00:00:00.json": {}, name(1, ".good"): {}, "db/drills/<script>.json": {},
        name(2, ".json"): {},
    }  # fmt: skip
    store = store_of([key(ago(days=1))], records)
    found = look(store, 20)
    assert [(each.kind, each.verdict) for each in found.trials] == [
        (DRILLED, GOOD), (DRILLED, BAD), (DRILLED, UNPROVEN), (REHEARSED_THERE, GOOD), (REHEARSED_THERE, BAD),
        (REHEARSED_THERE, UNPROVEN), *[(REHEARSED_THERE, UNKNOWN)] * 3,
    ]  # fmt: skip
    many = {name(number, ".rehearsal"): {"verdict": "rehearsed"} for number in range(1, 40)}
    store = store_of([], many)
    assert [each.verdict for each in look(store, 20).trials] == [GOOD] * 12 + [UNKNOWN] * 27
    assert cast(Records, store).read == 12


def test_it_survives_json() -> None:
    found = look(store_of([key(ago(days=1)), key(ago(days=5), ".tar.gz")]), 20)
    again = parse(json.loads(json.dumps(found.as_dict())))
    assert again == found
    assert [each.encrypted for each in again.archives] == [True, False]
    assert not look(store_of([]), 20).archives
    assert look(store_of([]), 20).lines()[0] == "no archive"


def test_which_keys_archives_need_after_a_rotation() -> None:
    keys = [key(ago(days=day)) for day in range(1, 301)]  # 1 to 9: new; 10 to 19: both; from 20 on: old
    records = Records(keys, {})
    both = message(1)[:14] + message(2)
    records.beginnings = dict.fromkeys(keys[:9], message(2)) | dict.fromkeys(keys[9:19], both)
    found = look(cast(Store, records), 300)
    assert records.beginnings_read < 25  # of 300
    assert [(each.first, each.last) for each in found.opened] == [
        (ago(days=9), ago(days=1)), (ago(days=19), ago(days=10)), (ago(days=300), ago(days=20)),
    ]  # fmt: skip
    old, new = "0" * 15 + "1", "0" * 15 + "2"
    lines = "\n".join(found.lines())
    assert (
        f"archives from {ago(days=19):%Y-%m-%d %H:%M:%S} UTC to {ago(days=10):%Y-%m-%d %H:%M:%S} UTC need one" in lines
    )
    assert f"need one of the keys {old}, {new}\n" in lines
    assert f"{ago(days=20):%Y-%m-%d %H:%M:%S} UTC need the key {old}\n" in lines
    assert parse(json.loads(json.dumps(found.as_dict()))) == found
    assert parse({name: value for name, value in found.as_dict().items() if name != "opened"}).opened == ()
    same = look(cast(Store, records), 9)
    assert same.opened == ()  # nothing to choose
    records.beginnings[keys[20]] = b""
    assert look(cast(Store, records), 21).opened == ()  # nobody knows
