"""What changed from archive to archive, which table is meant, and which archive is the one before a loss."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from checkniner_backups.errors import NotFoundError, SettingsError
from checkniner_backups.history.changes import Change, Tables, changes, lines, newest, tables_of
from checkniner_backups.history.entries import Content, History, table_of
from checkniner_backups.history.loss import archive_before, losses

from .test_entries import DAY, content, history


def told(*files: tuple[str, History]) -> list[tuple[str, str, int | None, int | None, str]]:
    return [(each.archive[:13], each.table, each.before, each.after, each.words()) for each in changes(files)]


def test_the_changes_of_a_day() -> None:
    day = history(
        content(a=10_000, b=5), content(a=9_000, b=5), content(a=9_000), content(a=9_000, c=2), content(a=9_001, c=2)
    )
    assert told(("us", day)) == [
        ("2026-11-28T01", "public.a", 10_000, 9_000, "-1,000 rows"),
        ("2026-11-28T02", "public.b", 5, None, "-5 rows, table gone"),
        ("2026-11-28T03", "public.c", None, 2, "+2 rows, new table"),
        ("2026-11-28T04", "public.a", 9_000, 9_001, "+1 rows"),
    ]
    shown = lines(list(changes([("us", day)])))
    assert shown[1].split() == ["2026-11-28", "01:00:00Z", "a", "10,000", "->", "9,000", "-1,000", "rows", "LOSS"]
    assert [line.endswith("LOSS") for line in shown[1:]] == [True, True, False, False]


def test_equal_rows_with_another_digest_have_changed() -> None:
    before, after = content(a=5), Content({"public.a": table_of(5, "f" * 64)}, ("public.a",))
    assert told(("us", history(before, after))) == [("2026-11-28T01", "public.a", 5, 5, "changed")]


def test_a_new_file_is_compared_with_the_one_before() -> None:
    first = history(content(a=5, b=1), content(a=6, b=1))
    second = history(content(a=4, c=1), day=DAY + timedelta(days=1))
    assert told(("us", first), ("us", second)) == [
        ("2026-11-28T01", "public.a", 5, 6, "+1 rows"),
        ("2026-11-29T00", "public.a", 6, 4, "-2 rows"),
        ("2026-11-29T00", "public.b", 1, None, "-1 rows, table gone"),
        ("2026-11-29T00", "public.c", None, 1, "+1 rows, new table"),
    ]
    # Another server's data are not what became of ours.
    assert told(("us", first), ("them", second)) == told(("us", first))


def test_the_newest_changes_are_kept_where_there_are_too_many() -> None:
    found, hidden = newest(changes([("us", history(*(content(a=number) for number in range(20))))]), most=5)
    assert [each.after for each in found] == [15, 16, 17, 18, 19]
    assert hidden == 14


NAMES = Tables(
    frozenset({"public.shop_order", "public.shop_customer", "north.tag", "south.tag", "public.Odd", "public.auth_user",
               "public.bills"}),
    {"shop.order": "shop_order", "shop.customer": "shop_customer", "auth.user": "auth_user", "money.invoice": "bills"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("public.shop_order", ["public.shop_order"]),
        ("shop_order", ["public.shop_order"]),
        ("shop.Order", ["public.shop_order"]),
        ("order", ["public.shop_order"]),
        ("Invoice", ["public.bills"]),
        ("shop", ["public.shop_customer", "public.shop_order"]),
        ("north.tag", ["north.tag"]),
        ("tag", ["north.tag", "south.tag"]),
        ("odd", ["public.Odd"]),
        (" ", []),
        ("rder", []),
    ],
)
def test_which_table_is_meant(word: str, found: list[str]) -> None:
    assert NAMES.meant_by(word) == found


def test_an_unknown_or_ambiguous_table_is_refused_with_what_there_is() -> None:
    with pytest.raises(SettingsError) as several:
        NAMES.one("tag")
    assert "north.tag, south.tag" in several.value.hint
    with pytest.raises(NotFoundError) as unknown:
        NAMES.one("ordres")
    assert "shop_order" in unknown.value.hint
    assert tables_of([("us", history(content(a=1), content(b=1)))]).names == {"public.a", "public.b"}


class Stored:
    """A store of these archives."""

    prefix = "db/"

    def __init__(self, *names: str) -> None:
        self.keys = {self.key(f"2026-11-28T{name}:00:00.tar.gz.gpg") for name in names}

    def key(self, name: str) -> str:
        return self.prefix + name

    def look(self, key: str) -> object:
        return type("Object", (), {"size": 1})() if key in self.keys else None

    def pages(self, prefix: str, delimiter: str = "") -> Iterator[object]:
        objects = [
            type("Object", (), {"key": key, "size": 1, "modified": None}) for key in self.keys if key.startswith(prefix)
        ]
        rolled = {key[: key.index(delimiter, len(prefix)) + 1] for key in self.keys if delimiter and prefix in key}
        yield type("Page", (), {"objects": [] if delimiter else objects, "prefixes": sorted(rolled)})


LOST = history(*(content(a=rows, b=1) for rows in (9, 10, 7, 8, 8, 5, 6)))
"""Losses at two and at five o'clock."""


def chosen(stored: Stored, word: str = "a") -> tuple[str, str]:
    found: list[Change] = list(changes([("us", LOST)]))
    made = archive_before(stored, found, tables_of([("us", LOST)]), word, DAY)  # type: ignore[arg-type]
    return made.archive.key, "\n".join(made.told)


def test_the_archive_before_the_last_loss() -> None:
    assert [each.archive[11:13] for each in losses(changes([("us", LOST)]), "public.a")] == ["05", "02"]
    key, said = chosen(Stored("00", "01", "02", "03", "04", "05", "06"))
    assert key == "db/2026-11-28T04:00:00.tar.gz.gpg"
    assert "the last loss of a is in the archive of 2026-11-28 05:00:00Z: 8 -> 5 rows" in said
    assert "10 -> 7 rows; for that one, say -e archive=db/2026-11-28T01:00:00.tar.gz.gpg" in said


def test_an_older_archive_where_that_one_is_gone() -> None:
    key, said = chosen(Stored("00", "01", "05", "06"))
    assert key == "db/2026-11-28T01:00:00.tar.gz.gpg"
    assert "2026-11-28T04:00:00.tar.gz.gpg is no longer in the store" in said
    with pytest.raises(NotFoundError, match="no archive from before the loss of a"):
        chosen(Stored("05", "06"))


def test_a_table_that_lost_nothing() -> None:
    with pytest.raises(NotFoundError, match="b has lost no rows since 2026-11-28 00:00 UTC") as caught:
        chosen(Stored("00"), "b")
    assert "-e days=90" in caught.value.hint


def test_a_time_before_which_nothing_is_known() -> None:
    only = history(content(a=1))
    assert not list(changes([("us", only)]))
    assert only.entries[0].created == datetime(2026, 11, 28, tzinfo=timezone.utc)
