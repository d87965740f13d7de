"""What changed from archive to archive, and which table is meant by a word."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import NotFoundError, SettingsError, printable, shortened
from ..system.text import table
from ..system.timestamps import iso
from .entries import Content, Entry, History, Table

MOST = 20_000
"""So many changes are kept at most, the newest ones."""
_PUBLIC = "public."


@dataclass(frozen=True)
class Change:
    """What an archive holds of a table, and what the archive before held.

    :ivar archive: its file name
    :ivar created: the time of its data (aware, UTC)
    :ivar before: rows in the archive before; None where the table was not there
    :ivar after: rows in this one; None where the table is gone
    :ivar previous: file name of the archive before
    :ivar business: whether the table is one of the business apps
    """

    archive: str
    created: datetime
    table: str
    before: int | None
    after: int | None
    previous: str
    business: bool

    @property
    def difference(self) -> int:
        """How many rows more there are; less than 0 where there are fewer."""
        return (self.after or 0) - (self.before or 0)

    @property
    def is_loss(self) -> bool:
        """Whether there are fewer rows."""
        return self.difference < 0

    def words(self) -> str:
        """Return what changed, in words."""
        rows = f"{self.difference:+,} rows" if self.difference else ""
        there = "new table" if self.before is None else "table gone" if self.after is None else ""
        return ", ".join(filter(None, [rows, there])) or "changed"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can express it; times are ISO 8601, UTC."""
        return {
            "archive": self.archive,
            "created": iso(self.created),
            "table": self.table,
            "before": self.before,
            "after": self.after,
            "difference": self.difference,
            "loss": self.is_loss,
            "business": self.business,
            "previous": self.previous,
        }


def shown_table(name: str) -> str:
    """Given `schema.name`, return it as people read it."""
    return printable(name.removeprefix(_PUBLIC))


def changes(histories: Iterable[tuple[str, History]]) -> Iterator[Change]:
    """Given files of a history, each with whose archives they are, yield what changed, in the order of time.

    What the first archive of a server holds is no change.
    """
    last: dict[str, tuple[Entry, Content]] = {}
    for whose, history in histories:
        for number, entry in enumerate(history.entries):
            before, held = last.get(whose, (None, Content()))
            names = sorted({*entry.tables, *(held.tables if number == 0 else entry.gone)})
            earlier = {name: held.tables.get(name) for name in names}
            business = {*held.business}  # one that is gone has been one of them
            if number == 0:
                held = Content()
            held.add(entry)
            last[whose] = (entry, held)
            if before is not None:
                business.update(held.business)
                for name in names:
                    if earlier[name] != (now := held.tables.get(name)):
                        yield _change(before, entry, name, (earlier[name], now), business)


def _change(
    before: Entry, entry: Entry, name: str, held: tuple[Table | None, Table | None], business: Collection[str]
) -> Change:
    earlier, now = held
    return Change(
        entry.archive, entry.created, name, earlier.rows if earlier else None, now.rows if now else None,
        before.archive, name in business,
    )  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """The tables that a history tells of.

    :ivar names: `schema.name` of each
    :ivar models: the table of each model, as Django has them, by label
    """

    names: frozenset[str]
    models: Mapping[str, str]

    def meant_by(self, word: str) -> list[str]:
        """Given a table's name with or without its schema, a model's label, an app's label, or the end of one of the
        first two, return the tables that are meant, the closest meaning first; empty where there is none."""
        wanted = word.strip().casefold()
        labels = {label.casefold(): table.casefold() for label, table in self.models.items()}
        of_app = {table for label, table in labels.items() if label.partition(".")[0] == wanted}
        of_model = {table for label, table in labels.items() if label.partition(".")[2] == wanted}
        meanings: tuple[Callable[[str, str], bool], ...] = (
            lambda full, _: full == wanted,
            lambda _, name: name == wanted,
            lambda _, name: name == labels.get(wanted),
            lambda _, name: name in of_app,
            lambda _, name: name in of_model,
            lambda _, name: name.endswith(f"_{wanted}"),
        )
        for means in meanings:
            if wanted and (found := [full for full in sorted(self.names) if means(*_parts(full))]):
                return found
        return []

    def require(self, word: str) -> list[str]:
        """Given such a word, return the tables that are meant.

        :raises NotFoundError: there is none; the hint names some that there are
        """
        if found := self.meant_by(word):
            return found
        raise NotFoundError(
            f"no archive of this time has a table, a model or an app {word!r}",
            f"the tables are {shortened([shown_table(name) for name in sorted(self.names)])}",
        )

    def one(self, word: str) -> str:
        """Given such a word, return the table that is meant.

        :raises NotFoundError: there is none
        :raises SettingsError: it may be several; the hint names them
        """
        found = self.require(word)
        if len(found) > 1:
            raise SettingsError(
                f"{word!r} may be {len(found)} tables", f"name one: {shortened([shown_table(name) for name in found])}"
            )
        return found[0]


def _parts(full: str) -> tuple[str, str]:
    folded = full.casefold()
    return folded, folded.partition(".")[2]


def tables_of(histories: Iterable[tuple[str, History]]) -> Tables:
    """Given files of a history, return the tables and models that they tell of."""
    names: set[str] = set()
    models: dict[str, str] = {}
    for _, history in histories:
        for entry in history.entries:
            names.update(entry.tables)
            models.update(entry.models or {})
    # Django may name a schema: `schema"."table`.
    return Tables(frozenset(names), {label: name.rpartition('"."')[2] for label, name in models.items()})


def newest(found: Iterable[Change], most: int = MOST) -> tuple[list[Change], int]:
    """Given changes in the order of time, return the last of them, and how many earlier ones are left out."""
    kept: deque[Change] = deque(maxlen=most)
    number = 0
    for each in found:
        kept.append(each)
        number += 1
    return list(kept), number - len(kept)


def lines(found: Sequence[Change]) -> list[str]:
    """Given changes, return a line for each of them; those that are losses say so."""
    rows = [
        [
            f"{each.created:%Y-%m-%d %H:%M:%SZ}",
            shown_table(each.table),
            f"{_count(each.before)} -> {_count(each.after)}",
            each.words(),
            "LOSS" if each.is_loss else "",
        ]
        for each in found
    ]
    return table(rows, ["WHEN", "TABLE", "ROWS", "CHANGE", ""]).splitlines() if rows else []


def _count(rows: int | None) -> str:
    return "none" if rows is None else f"{rows:,}"
