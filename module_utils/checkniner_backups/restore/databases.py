"""The databases around a restore: the live one, the new one beside it, and those that were replaced before.

Names tell which is which, so that nothing needs to be remembered: `<live>_restoring_<stamp>`, `<live>_before_<stamp>`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ..errors import DatabaseError, RestoreError
from ..postgres import admin
from ..postgres.disk_space import lacking_disk_space
from ..postgres.dsn import Dsn
from ..postgres.extensions import close_configuration, was_opened
from ..postgres.locales import completed
from ..postgres.preflight import missing_for
from ..postgres.privileges import hand_over, let_own
from ..postgres.session import administer, connect

if TYPE_CHECKING:
    from ..postgres.session import Connection

log = logging.getLogger(__name__)

NEW, PREVIOUS = "restoring", "before"
_OF_EVERY_DATABASE = ("owner", "encoding", "lc_collate", "lc_ctype", "locale", "size")


@dataclass(frozen=True)
class Change:
    """What was done (in check mode: would be). `before` and `after` are names of the databases that matter.

    :param database: name of the new database
    :param previous: what the replaced database is called now
    :param outage: seconds during which nobody could connect
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    database: str = ""
    previous: str = ""
    outage: float = 0.0


def _refuse(problems: Iterable[str], way_out: str = "") -> None:
    if found := list(problems):
        raise RestoreError(
            f"this server cannot hold the dump: {'; '.join(found)}", f"mend this first{way_out}; nothing was changed"
        )


def _for_fixtures(metadata: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    """Return the metadata that matters to a database which the application's own migrations fill.

    The dump's version, roles and extensions do not; an extension that was allowed is what the migrations need.
    """
    kept = {name: metadata[name] for name in _OF_EVERY_DATABASE if name in metadata}
    return {**kept, "extensions": [each for each in metadata.get("extensions", ()) if each["name"] in allowed]}


def _try(application: Dsn) -> None:
    try:
        with connect(application):
            pass
    except DatabaseError as error:
        raise RestoreError(
            f"the application cannot connect to {error.message}", "the running database is unchanged"
        ) from None


class Databases:
    """The databases of one application, seen by an administrator.

    :param role: the application's role; empty if it is not known: then nobody looks whose the live database is
    """

    def __init__(self, dsn: Dsn, live: str, role: str = "", *, dry_run: bool = False) -> None:
        self._dsn = dsn
        self._live = live
        self._role = role
        self._dry_run = dry_run

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Yield an administrator's connection, once it is sure that the live database may be the application's."""
        with administer(self._dsn) as connection:
            admin.check_whose(connection, self._live, self._role)
            yield connection

    def create(
        self,
        owner: str,
        metadata: Mapping[str, Any],
        allowed: Iterable[str],
        name: str = "",
        *,
        kind: str = "sql",
        skip_settings: bool = False,
    ) -> Change:
        """Given the role that loads and the manifest's metadata, create an empty database and drop stale ones.

        :param allowed: extensions that only a superuser may create, and that may be created
        :param name: a name to take; empty for `<live>_restoring_<stamp>`
        :param kind: what will be loaded, `sql` or `fixtures`
        :param skip_settings: whether the database's own settings will be left out
        :raises RestoreError: this server lacks something for the dump; the message lists all of it
        """
        allowed = tuple(allowed)
        if kind == "fixtures":
            metadata = _for_fixtures(metadata, allowed)
        with self._connected() as connection:
            sql = kind == "sql"
            problems = missing_for(connection, metadata, owner, self._live, sql=sql, skip_settings=skip_settings)
            _refuse(problems, ", or restore this archive with source=fixtures" if sql else "")
            stale = admin.previous_databases(connection, self._live, NEW)
            if name and admin.exists(connection, name):
                raise RestoreError(f"the database {name} is there already", "drop it, or choose another name")
            before = self._names(connection)
            new = name or admin.free_name(connection, self._live, NEW)
            kept = [each for each in before if each not in stale]
            change = Change(before, tuple(sorted([*kept, new])), database=new)
            if not self._dry_run:
                for each_stale in stale:
                    log.warning("dropping %s, which an earlier restore left", each_stale)
                    admin.drop_database(connection, each_stale)
            if not (self._dry_run and stale):  # what is not dropped yet takes the room
                _refuse(lacking_disk_space(connection, metadata))
            if self._dry_run:
                return change
            admin.create_database(connection, new, completed(connection, metadata, self._live))
            try:
                if name:
                    admin.mark_as_ours(connection, new)
                admin.create_extensions(self._dsn, new, owner, metadata, allowed)
                if sql and metadata.get("owners"):
                    with administer(self._dsn.to(new)) as inside:
                        let_own(inside, owner, metadata)
                admin.give_away(connection, new, owner)
            except BaseException:
                admin.drop_database(connection, new)
                raise
            return change

    def swap(self, new: str, metadata: Mapping[str, Any], role: str = "", *, application: Dsn | None = None) -> Change:
        """Given the new database's name and the manifest's metadata, make it the live one; keep the old one.

        The new live database belongs to whom the old one belonged to, or else to whom the manifest names.

        :param role: the application's role; empty for whom the new database belongs to
        :param application: the application's own way to the live database, if it is known: it is tried with the new
        :raises RestoreError: the old database cannot be left, or the application could not connect to the new one;
            nothing was changed
        """
        with self._connected() as connection:
            before = self._names(connection)
            previous = admin.free_name(connection, self._live, PREVIOUS)
            there = admin.exists(connection, self._live)
            after = tuple(sorted({*before, self._live, *([previous] if there else [])} - {new}))
            if self._dry_run:
                return Change(before, after, self._live, previous if there else "")
            loader = admin.owner_of(connection, new)
            role = (application.user if application else role) or loader
            self._settle(new, loader, metadata)
            hand_over(connection, new, self._live, role, metadata)
        if application:
            _try(application.to(new))
        done = admin.swap(self._dsn, self._live, new, previous)
        return Change(before, after, self._live, previous if there else "", done.outage)

    def settle(self, new: str, loader: str, metadata: Mapping[str, Any]) -> Change:
        """Given a loaded database, who has loaded it, and the manifest's metadata, take back the rights of a load."""
        with self._connected() as connection:
            names = self._names(connection)
        if not self._dry_run:
            self._settle(new, loader, metadata)
        return Change(names, names, new)

    def _settle(self, new: str, loader: str, metadata: Mapping[str, Any]) -> None:
        if was_opened(metadata):
            with administer(self._dsn.to(new)) as inside:
                close_configuration(inside, loader)

    def undo(self, name: str = "") -> Change:
        """Given the name of a kept database (empty: the newest), make it the live one again.

        What is live now, if anything is, is kept in its place.

        :raises RestoreError: there is none, or it cannot be connected to; the message lists those that are kept
        """
        with self._connected() as connection:
            before = self._names(connection)
            kept = admin.previous_databases(connection, self._live, PREVIOUS)
            usable = [each for each in kept if admin.takes_connections(connection, each)]
            chosen = self._chosen(name, kept, usable)
            there = admin.exists(connection, self._live)
            previous = admin.free_name(connection, self._live, PREVIOUS)
        kept_now = previous if there else ""
        after = tuple(sorted({*before, self._live, *([previous] if there else [])} - {chosen}))
        if self._dry_run:
            return Change(before, after, self._live, kept_now)
        done = admin.swap(self._dsn, self._live, chosen, previous)
        return Change(before, after, self._live, kept_now, done.outage)

    def _chosen(self, name: str, kept: Sequence[str], usable: Sequence[str]) -> str:
        """Given a name (may be empty), the kept databases and those that can be used, return the one to go back to."""
        others = [each for each in usable if each != (name or kept[0])] if kept else []
        if others:
            hint = f"go back to another with -e undo=NAME: {', '.join(others)}; or restore an archive"
        else:
            hint = "no other is kept: restore an archive instead"
        if not kept:
            raise RestoreError(f"there is no earlier database of {self._live} to go back to", hint)
        if name and name not in kept:
            raise RestoreError(f"{name} is no database that a restore of {self._live} kept", hint)
        if (name or kept[0]) not in usable:
            raise RestoreError(
                f"the kept database {name or kept[0]} cannot be connected to: dropping it was interrupted, or it was"
                " closed",
                hint,
            )
        return name or kept[0]

    def drop(self, name: str, older_than: float | None) -> Change:
        """Given the name of a new database, drop it; and, given a number of days, the kept ones that are older.

        :param older_than: 0 for all that are kept
        :raises RestoreError: the name is the live database's, or none that a restore made; or there is no live
            database, and what is kept may be all that there is
        """
        with self._connected() as connection:
            before = self._names(connection)
            ours = [*admin.previous_databases(connection, self._live, NEW)]
            kept = admin.previous_databases(connection, self._live, PREVIOUS)
            there = bool(name) and admin.exists(connection, name)
            if there and name not in (*ours, *kept) and (name == self._live or not admin.is_ours(connection, name)):
                raise RestoreError(f"{name} is not a database that a restore made", "drop it by hand if you mean it")
            before = tuple(sorted({*before, name})) if there else before
            gone = [name] if there else []
            if older_than is not None:
                if kept and not admin.exists(connection, self._live):
                    raise RestoreError(
                        f"there is no database {self._live}, and {', '.join(kept)} may be all that is left of it",
                        "go back to one with undo, or restore an archive, before the others are dropped",
                    )
                limit = (datetime.now(timezone.utc) - timedelta(days=older_than)).strftime("%Y%m%dt%H%M%S")
                # By its name, one that was kept just now may be of the second that is running.
                gone += [each for each in kept if older_than <= 0 or each[-15:] < limit]
            if not self._dry_run:
                for each in gone:
                    admin.drop_database(connection, each)
            return Change(before, tuple(each for each in before if each not in gone))

    def _names(self, connection: Connection) -> tuple[str, ...]:
        names = [*admin.previous_databases(connection, self._live, NEW)]
        names += admin.previous_databases(connection, self._live, PREVIOUS)
        if admin.exists(connection, self._live):
            names.append(self._live)
        return tuple(sorted(names))
