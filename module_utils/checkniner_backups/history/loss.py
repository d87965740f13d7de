"""The archive before a loss: what a restore takes where somebody knows what is missing, and not since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..errors import NotFoundError, printable
from ..storage.catalog import Archive, newest_at_or_before, parse
from ..storage.s3 import Store
from .changes import Change, Tables, shown_table

_OTHERS = 5
"""So many earlier losses are named."""


@dataclass(frozen=True)
class Chosen:
    """The archive to restore, and why, a sentence each."""

    archive: Archive
    told: tuple[str, ...]


def losses(found: Iterable[Change], table: str) -> list[Change]:
    """Given changes in the order of time, return those that are losses of a table, the last one first."""
    return [each for each in found if each.is_loss and each.table == table][::-1]


def archive_before(store: Store, found: Iterable[Change], tables: Tables, word: str, since: datetime) -> Chosen:
    """Given a store, the changes in the order of time, and what the table is called, return the newest archive before
    the last loss of its rows.

    :param since: from when on the changes are known, for what is said
    :raises NotFoundError: there is no such table, no loss, or no archive before it any more
    :raises SettingsError: several tables are called so
    :raises StoreError: the store cannot be asked
    """
    table = tables.one(word)
    lost = losses(found, table)
    if not lost:
        raise NotFoundError(
            f"{shown_table(table)} has lost no rows since {since:%Y-%m-%d %H:%M} UTC, as far as the history tells",
            "look further back with -e days=90; rows that were changed are no loss: timeline.yml shows these too, and"
            " -e at= takes the archive of a time",
        )
    latest, others = lost[0], lost[1:]
    archive = _stored(store, latest)
    told = [f"the last loss of {_sentence(latest)}"]
    told += [
        f"an earlier one: {_sentence(each)}; for that one, say -e archive={store.key(each.previous)}"
        for each in others[:_OTHERS]
    ]
    if len(others) > _OTHERS:
        told.append(f"and {len(others) - _OTHERS} earlier ones: timeline.yml -e table={printable(word)} shows them")
    if archive.name != latest.previous:
        told.append(f"{latest.previous} is no longer in the store: {archive.name} is the newest one before it")
    told.append(f"so {archive.key} is restored, whose data are of before it")
    return Chosen(archive, tuple(told))


def _stored(store: Store, loss: Change) -> Archive:
    """Return the newest archive in the store that is no newer than the one before the loss."""
    wanted = parse(store.key(loss.previous), store.prefix)
    found = None
    if wanted and (stored := store.look(wanted.key)):
        return Archive(wanted.key, wanted.stamp, stored.size, wanted.encrypted)
    if wanted:
        found = newest_at_or_before(store, wanted.stamp)
    if found is None or wanted is None or found.stamp > wanted.stamp:
        raise NotFoundError(
            f"no archive from before the loss of {_sentence(loss)} is in {store} any more",
            "timeline.yml shows the archives of which something is known, list.yml those that are there",
        )
    return found


def _sentence(loss: Change) -> str:
    return (
        f"{shown_table(loss.table)} is in the archive of {loss.created:%Y-%m-%d %H:%M:%SZ}:"
        f" {loss.before or 0:,} -> {loss.after or 0:,} rows"
    )
