"""The files that a server keeps: one a day, small, few, and whatever the store does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from checkniner_backups.errors import ArchiveError, StoreError
from checkniner_backups.history import record
from checkniner_backups.history.entries import LIMIT, Content, Saved, parse, table_of
from checkniner_backups.history.record import keep, last_failure, remember_failure
from checkniner_backups.settings import Settings, StoreSettings, history_prefix

from .test_entries import DAY, content


class Store:
    """A store that takes what it is given, unless it is told to refuse."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.puts = 0
        self.refuses = False

    def put_small(self, key: str, body: bytes) -> None:
        self.puts += 1
        if self.refuses:
            raise StoreError("the store refuses this (AccessDenied)")
        self.stored[key] = body

    def entries(self) -> dict[str, int]:
        """Return how many entries each object has."""
        return {key: len(parse(body).entries) for key, body in self.stored.items()}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Without encryption and signing key: these are tried on real parts."""
    return Settings("shop", tmp_path, tmp_path, tmp_path, StoreSettings("bucket"), encryption=False)


def saved(hours: float, held: Content | None = None, ending: str = "") -> Saved:
    at: datetime = DAY + timedelta(hours=hours)
    return Saved(f"{at:%Y-%m-%dT%H:%M:%S}.tar.gz{ending}", at, held or content(a=int(hours * 10)))


def tell(settings: Settings, store: Store, each: Saved) -> None:
    keep(settings, store, each)  # type: ignore[arg-type]


def files(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.state_path / "history").iterdir())


def test_one_object_a_day_named_after_its_first_archive(settings: Settings, store: Store) -> None:
    for hours in (1, 2, 3, 2.5, 4):  # one is uploaded late by a playbook
        tell(settings, store, saved(hours))
    assert store.entries() == {"db-history/2026-11-28T01:00:00.json": 4}
    tell(settings, store, saved(25))
    assert store.entries() == {"db-history/2026-11-28T01:00:00.json": 4, "db-history/2026-11-29T01:00:00.json": 1}
    assert files(settings) == ["2026-11-29T01:00:00.json"]
    # The state folder is lost: what is in the store is not overwritten.
    for path in (settings.state_path / "history").iterdir():
        path.unlink()
    tell(settings, store, saved(26))
    assert store.entries()["db-history/2026-11-29T01:00:00.json"] == 1
    assert store.entries()["db-history/2026-11-29T02:00:00.json"] == 1


def test_what_is_not_of_this_store_begins_another_file(settings: Settings, store: Store) -> None:
    store.refuses = True
    with pytest.raises(StoreError):
        tell(settings, store, saved(1))
    store.refuses = False
    other = replace(settings, store=StoreSettings("another", "shop/"))
    tell(other, store, saved(2))
    assert store.entries() == {"shop-history/2026-11-28T02:00:00.json": 1}
    assert files(settings) == ["2026-11-28T02:00:00.json"]
    assert history_prefix("db/") == "db-history/"
    assert history_prefix("/") == "history/"


def test_a_refusal_is_one_request_and_is_made_up_for(settings: Settings, store: Store) -> None:
    store.refuses = True
    for hours in (1, 2, 25):
        with pytest.raises(StoreError) as caught:
            tell(settings, store, saved(hours))
        remember_failure(settings.state_path, caught.value)
    assert store.puts == 3
    assert "the store refuses this (AccessDenied); the archives are, and" in last_failure(settings.state_path)
    store.refuses = False
    tell(settings, store, saved(26))
    assert store.entries() == {"db-history/2026-11-28T01:00:00.json": 2, "db-history/2026-11-29T01:00:00.json": 2}
    assert last_failure(settings.state_path) == ""
    assert files(settings) == ["2026-11-29T01:00:00.json"]


def test_a_store_that_never_takes_one_does_not_fill_the_disk(settings: Settings, store: Store) -> None:
    store.refuses = True
    for day in range(40):
        with pytest.raises(StoreError):
            tell(settings, store, saved(24 * day))
    assert len(files(settings)) == 31
    assert files(settings)[-1] == f"{DAY + timedelta(days=39):%Y-%m-%dT%H:%M:%S}.json"


def test_a_file_that_grows_too_long_is_followed_by_another(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "LIMIT", 700)
    for minute in range(10):
        tell(settings, store, saved(1 + minute / 60, content(a=minute)))
    assert len(store.stored) > 1
    assert sum(store.entries().values()) == 10
    assert max(map(len, store.stored.values())) <= 700
    monkeypatch.setattr(record, "LIMIT", LIMIT)
    many = Content({f"public.{number:0100}": table_of(1, "0" * 64) for number in range(10_000)})
    with pytest.raises(ArchiveError, match="10,000 tables are more than an entry may hold"):
        tell(settings, store, saved(2, many))


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff" * 100, b"x" * (LIMIT + 2)])
def test_a_damaged_file_is_replaced(settings: Settings, store: Store, damage: bytes) -> None:
    tell(settings, store, saved(1))
    folder = settings.state_path / "history"
    (folder / files(settings)[0]).write_bytes(damage)
    (folder / ".2026-11-28T01:00:00.json.half").write_bytes(b"x")
    tell(settings, store, saved(2))
    assert files(settings) == ["2026-11-28T02:00:00.json"]
    assert store.entries() == {"db-history/2026-11-28T01:00:00.json": 1, "db-history/2026-11-28T02:00:00.json": 1}


def test_the_time_after_a_fast_clock(settings: Settings, store: Store) -> None:
    """What it has named is of the future: later archives do not wait for that day."""
    far = 24.0 * 365 * 40
    tell(settings, store, saved(far))
    tell(settings, store, saved(1))
    tell(settings, store, saved(2))
    assert store.entries()["db-history/2026-11-28T01:00:00.json"] == 2
    assert files(settings) == ["2026-11-28T01:00:00.json"]
