"""What changed when, for a person who asks: the changes of a time, of all business tables or of some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..archive.origin import Trust
from ..errors import SettingsError
from ..storage.s3 import Store
from ..system.timestamps import parse_bound
from .changes import Change, Tables, changes, lines, newest, tables_of
from .loss import Chosen, archive_before
from .reader import Known, read

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DAYS = 36_500.0
_LINES = 500


@dataclass(frozen=True)
class Timeline:
    """What is known of a time.

    :ivar since: its beginning (aware, UTC)
    :ivar found: the changes, in the order of time
    :ivar notes: what else there is to know, a sentence each
    """

    since: datetime
    found: tuple[Change, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return it for people, the last change at the end."""
        hidden = max(0, len(self.found) - _LINES)
        told = [f"({hidden:,} earlier changes are not shown, and are in the file of -e output=FILE)"] if hidden else []
        told += lines(self.found[hidden:]) or [f"nothing has changed since {self.since:%Y-%m-%d %H:%M} UTC"]
        return told + list(self.notes)


class Archives:
    """What the archives of a time held, as the history of a store tells."""

    def __init__(
        self,
        store: Store,
        application: str,
        trust: Trust,
        *,
        days: float = 7.0,
        since: str = "",
        gnupg_home: Path | None = None,
    ) -> None:
        """Given a store, an application's name and whose history counts, read it.

        :param days: how far back
        :param since: from when on, in words, in place of the days
        :raises SettingsError: a time cannot be understood
        :raises NotFoundError, StoreError, EncryptionError: as `reader.read`
        """
        if not 0 < days < _MOST_DAYS:
            raise SettingsError(f"the number of days is {days:g}", f"use a number from 1 to {_MOST_DAYS:g}")
        self._store = store
        self.since = parse_bound(since) or datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=days)
        self.known: Known = read(store, application, trust, self.since, gnupg_home)
        self.tables: Tables = tables_of(self.known.histories)

    def timeline(self, word: str = "") -> Timeline:
        """Given what a table, a model or an app is called, return its changes; without a word, those of all business
        tables.

        :raises NotFoundError: nothing is called so
        """
        wanted = frozenset(self.tables.require(word)) if word else None
        others: set[str] = set()

        def chosen() -> Iterator[Change]:
            for each in self._changes():
                if each.business if wanted is None else each.table in wanted:
                    yield each
                elif wanted is None:
                    others.add(each.table)

        found, hidden = newest(chosen())
        notes = [f"{hidden:,} earlier changes are left out"] if hidden else []
        if others:
            notes.append(
                f"{len(others)} tables outside of the business apps have changed, too: -e table=NAME shows one of them"
            )
        return Timeline(self.since, tuple(found), (*notes, *self.known.left_out))

    def before_loss(self, word: str) -> Chosen:
        """Given what a table is called, return the newest archive before the last loss of its rows.

        :raises NotFoundError, SettingsError, StoreError: as `loss.archive_before`
        """
        chosen = archive_before(self._store, self._changes(), self.tables, word, self.since)
        return Chosen(chosen.archive, (*chosen.told, *self.known.left_out))

    def _changes(self) -> Iterator[Change]:
        return (each for each in changes(self.known.histories) if each.created >= self.since)


def as_dicts(found: Sequence[Change]) -> list[dict[str, object]]:
    """Given changes, return them as JSON can express them."""
    return [each.as_dict() for each in found]
