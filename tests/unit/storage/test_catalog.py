"""Which archive is the newest, and what it costs to find out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone

import pytest
from checkniner_backups.errors import NotFoundError
from checkniner_backups.storage import catalog as catalogue
from checkniner_backups.storage import choice
from checkniner_backups.storage.client import Page, StoredObject

NOW = datetime(2026, 11, 22, 19, 35, tzinfo=timezone.utc)


class FakeStore:
    """Lists like S3: delimiters, pages of 1,000 entries; in no particular order, as some stores do."""

    modified: datetime | None = None
    times: Mapping[str, tuple[datetime, datetime | None]] = {}
    """Of some keys, when the store got the object, and of when its data are."""
    only = ""
    """The one delimiter that it knows; empty: it knows all."""

    def __init__(self, keys: list[str], prefix: str = "db/") -> None:
        self.keys, self.prefix, self.lists, self.heads = keys, prefix, 0, 0

    def __str__(self) -> str:
        return "bucket fake"

    def pages(self, prefix: str | None = None, delimiter: str = "") -> Iterator[Page]:
        start = self.prefix if prefix is None else prefix
        delimiter = delimiter if self.only in ("", delimiter) else ""
        objects, prefixes = [], set()
        for key in self.keys:
            if key.startswith(start):
                head, found, _ = key[len(start) :].partition(delimiter) if delimiter else ("", "", "")
                if found:
                    prefixes.add(start + head + found)
                else:
                    objects.append(key)
        entries = sorted(prefixes) + objects
        random.Random(1).shuffle(entries)
        for first in range(0, max(1, len(entries)), 1000):
            self.lists += 1
            part = entries[first : first + 1000]
            yield Page(
                tuple(StoredObject(each, 7, self.modified_of(each)) for each in part if each not in prefixes),
                tuple(each for each in part if each in prefixes),
            )

    def modified_of(self, key: str) -> datetime | None:
        return self.times[key][0] if key in self.times else self.modified

    def head(self, key: str) -> StoredObject:
        self.heads += 1
        return StoredObject(key, 7, self.modified_of(key), created=self.times[key][1] if key in self.times else None)


def key(moment: datetime, ending: str = ".tar.gz.gpg", prefix: str = "db/") -> str:
    return f"{prefix}{moment:%Y-%m-%dT%H:%M:%S}{ending}"


@pytest.fixture(scope="module")
def many() -> list[str]:
    """100,000 archives, every five minutes, the newest 400 days old."""
    newest = NOW - timedelta(days=400)
    return [key(newest - timedelta(minutes=5 * index)) for index in range(100_000)]


def test_the_newest_of_100000_archives_costs_four_lists(many: list[str]) -> None:
    store = FakeStore([*many, "db/readme-x", "db/drills/2026-11-22T19:35:00.json", "db/notes"])
    found = catalogue.newest(store)
    assert found
    assert found.key == many[0]
    assert found.stamp == NOW - timedelta(days=400)
    assert (found.size, found.encrypted) == (7, True)
    assert store.lists <= 4


def test_foreign_keys_are_stepped_back_over() -> None:
    keys = [
        "db/2027-nonsense", "db/2026-13-01T00:00:00.tar.gz", "db/2026-12-24Twine", "db/2026-12-24T00:00:00.tar.gz.part",
        "db/2026-11-31T00:00:00.tar.gz", "db/drills/2026-12-01T00:00:00.tar.gz", "db/readme-x", "db/9999-99-99T",
        "2028-01-01T00:00:00.tar.gz", "db/2026-11-22T19:35:00.tar.gz.gpg.sha256", "db/٢٠٢٦-11-23T00:00:00.tar.gz",
        "db/2020-05-01T12:00:05.tar.gz", "db/2016-05-01T12:00:05.tar.gz.gpg",
    ]  # fmt: skip
    found = catalogue.newest(FakeStore(keys))
    assert found
    assert found.key == "db/2020-05-01T12:00:05.tar.gz"
    assert not found.encrypted
    assert [each.key for each in catalogue.all_archives(FakeStore(keys))] == keys[-2:]


def test_nothing_there() -> None:
    for keys in ([], ["db/readme-x"]):
        store = FakeStore(keys)
        assert catalogue.newest(store) is None
        with pytest.raises(NotFoundError, match="no archive in bucket fake"):
            choice.pick(store)
        with pytest.raises(NotFoundError, match="none at all"):
            choice.pick(store, NOW)


@pytest.mark.parametrize("prefix", ["", "db/", "db", "a/b-c/2026-", "T"])
def test_any_prefix_will_do(prefix: str) -> None:
    store = FakeStore([key(NOW, prefix=prefix), key(NOW - timedelta(days=1), prefix=prefix)], prefix)
    found = catalogue.newest(store)
    assert found
    assert found.key == prefix + found.name


def test_at_a_moment_equals_a_plain_search() -> None:
    chance = random.Random(7)
    stamps = [NOW - timedelta(seconds=chance.randrange(3 * 365 * 86400)) for _ in range(300)]
    store = FakeStore([key(each) for each in stamps])
    for _ in range(300):
        moment = NOW - timedelta(seconds=chance.randrange(-86400, 4 * 365 * 86400))
        before = max((each for each in stamps if each <= moment), default=None)
        after = min((each for each in stamps if each > moment), default=None)
        found = catalogue.around(store, moment)
        assert tuple(each.stamp if each else None for each in found) == (before, after)


def test_at_the_very_second_and_around_it() -> None:
    store = FakeStore([key(NOW), key(NOW - timedelta(days=31))])
    moment = NOW.astimezone(timezone(timedelta(hours=-8)))
    assert choice.pick(store, moment).stamp == NOW
    assert choice.pick(store, moment - timedelta(seconds=1)).stamp == NOW - timedelta(days=31)
    assert choice.pick(store).stamp == NOW
    with pytest.raises(NotFoundError) as caught:
        choice.pick(store, NOW - timedelta(days=32))
    assert "2026-10-22T19:35:00.tar.gz.gpg" in caught.value.hint
    assert "2026-10-21T19:35:00 UTC" in caught.value.message


def test_a_moment_costs_few_lists_however_many_archives_there_are(many: list[str]) -> None:
    store = FakeStore(many)
    moment = NOW - timedelta(days=500)
    assert choice.pick(store, moment).stamp == moment
    assert store.lists <= 6  # the day after, too: after a clock was fast, names are ahead
    assert store.heads == 0


def test_all_archives_newest_first_and_lazily(many: list[str]) -> None:
    store = FakeStore(many)
    archives = catalogue.all_archives(store)
    assert next(archives).key == many[0]
    assert store.lists < 15
    assert [each.key for each in archives] == many[1:]
    assert store.lists < 150


def test_of_two_with_one_stamp_the_encrypted_one_is_taken() -> None:
    found = catalogue.newest(FakeStore([key(NOW), key(NOW, ".tar.gz")]))
    assert found
    assert found.encrypted


def test_names_and_keys_are_each_others_inverse() -> None:
    for encrypted in (True, False):
        name = catalogue.file_name(NOW.astimezone(timezone(timedelta(hours=9))), encrypted)
        archive = catalogue.parse("db/" + name, "db/", 3)
        assert archive == catalogue.Archive("db/" + name, NOW, 3, encrypted)
        assert archive.name == name


FUTURE = ["db/9999-12-31T23:59:59.tar.gz.gpg", "db/2999-01-01T00:00:00.tar.gz", "db/2999-01-01T00:00:01.tar.gz"]


def test_one_of_the_future_is_never_the_newest(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore([*FUTURE, key(NOW), key(NOW - timedelta(days=1))])
    found = catalogue.find_newest(store)
    assert found.archive
    assert found.archive.stamp == NOW
    assert found.ahead
    assert found.ahead.key == FUTURE[0]
    assert FUTURE[0] in caplog.text
    assert choice.pick(store).stamp == NOW
    assert choice.choose(store, "latest").stamp == NOW
    assert choice.choose(store, at="3000-01-01 00:00Z").stamp == NOW
    assert choice.choose(store, FUTURE[0]).key == FUTURE[0]  # whoever names it, means it


def test_where_there_are_only_some_of_the_future_the_operator_has_to_name_one() -> None:
    with pytest.raises(NotFoundError, match=r"(?s)one of the future, db/9999.*HINT: .*name its key"):
        choice.pick(FakeStore(FUTURE))


def test_a_slow_clock_of_this_machine_hides_nothing_that_the_store_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    later = datetime.now(timezone.utc) + timedelta(days=30)
    monkeypatch.setattr(FakeStore, "modified", later, raising=False)
    found = catalogue.find_newest(FakeStore([key(later), key(NOW)]))
    assert found.archive
    assert found.archive.key == key(later)
    assert found.ahead is None


@pytest.mark.parametrize("prefix", ["", "db/", "a/b-c/2026-"])
def test_a_store_that_knows_no_such_delimiter_hides_nothing(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setattr(FakeStore, "only", "/")
    keys = [key(NOW - timedelta(hours=index), prefix=prefix) for index in range(2500)]
    store = FakeStore([*keys, f"{prefix}readme-x", f"{prefix}drills/2026-12-01T00:00:00.json"], prefix)
    found = catalogue.newest(store)
    assert found
    assert found.key == keys[0]
    assert store.lists <= 2 * 3 + 1
    assert [each.key for each in catalogue.all_archives(store)] == keys
    moment = NOW - timedelta(hours=1000, minutes=-30)
    before, after = catalogue.around(store, moment)
    assert before
    assert after
    assert (before.key, after.key) == (keys[1000], keys[999])
    planted = FakeStore([*store.keys, f"{prefix}9999-12-31T23:59:59.tar.gz"], prefix)
    looked = catalogue.find_newest(planted)
    assert looked.archive == found
    assert looked.ahead
    assert catalogue.newest(FakeStore([f"{prefix}readme-x"], prefix)) is None


MINUTE = timedelta(minutes=1)


def after_a_fast_clock(monkeypatch: pytest.MonkeyPatch, *, noted: bool = True) -> tuple[FakeStore, list[str]]:
    """Return a store, and its keys in their order: before; by a clock 40 minutes fast; two after it was set right."""
    keys = [key(NOW - 10 * MINUTE), key(NOW + 35 * MINUTE), key(NOW + 35 * MINUTE + MINUTE / 60),
            key(NOW + 35 * MINUTE + MINUTE / 30)]  # fmt: skip
    real = [NOW - 10 * MINUTE, NOW - 5 * MINUTE, NOW, NOW + 5 * MINUTE]
    says = [real[0], NOW + 35 * MINUTE, real[2], real[3]]
    facts = {each: (when + MINUTE / 20, of if noted else None) for each, when, of in zip(keys, real, says, strict=True)}
    monkeypatch.setattr(FakeStore, "times", facts)
    return FakeStore(keys), keys


def test_after_a_clock_was_fast_a_time_finds_the_archive_that_was_the_newest_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, keys = after_a_fast_clock(monkeypatch)
    assert choice.pick(store, NOW + MINUTE).key == keys[2]
    assert choice.pick(store, NOW + 6 * MINUTE).key == keys[3]
    assert choice.pick(store, NOW + timedelta(hours=2)).key == keys[3]
    assert choice.pick(store).key == keys[3]
    assert caplog.text == ""
    # Made while the clock was fast: nobody can tell of when its data are, so it is told, and not taken.
    assert choice.pick(store, NOW - MINUTE).key == keys[0]
    assert keys[1] in caplog.text
    assert store.heads < 10


def test_where_nobody_noted_the_time_of_the_data_the_names_count_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, keys = after_a_fast_clock(monkeypatch, noted=False)
    assert choice.pick(store, NOW + MINUTE).key == keys[0]
    assert keys[2] in caplog.text


def test_a_slow_clock_of_the_store_has_no_later_archive_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key(NOW + index * 5 * MINUTE) for index in range(200)]
    facts = {each: (NOW + (index * 5 - 9) * MINUTE, NOW + index * 5 * MINUTE) for index, each in enumerate(keys)}
    monkeypatch.setattr(FakeStore, "times", facts)
    store = FakeStore(keys)
    assert choice.pick(store, NOW + 51 * MINUTE).key == keys[10]
    assert store.heads <= 5
