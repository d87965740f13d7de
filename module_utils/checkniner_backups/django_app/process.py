"""Fixtures, read and written by the application's own Django: the engine's side of `worker`.

One process serves a whole run: it starts before a snapshot is taken (Django needs its time), and stays for the next
try when a lock was not to be had.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import LockTimeoutError
from ..system.accounts import Account
from .digest import FixtureDigest
from .interpreter import Interpreter
from .program import scrubbed
from .registry import ConnectionInfo, FixturesReport, LoadReport, Member, Registry
from .worker import channel

__all__ = ["ConnectionInfo", "FixturesProcess", "FixturesReport", "LoadReport", "Member", "Registry"]

log = logging.getLogger(__name__)

_PATIENCE = 120.0
"""Seconds that Django may take to start."""


@dataclass(frozen=True)
class Visit:
    """Where the application's pages are: a port of 127.0.0.1, who the visitor is logged in as, the admin's path.

    The two are empty where the data know no superuser, or the application has no admin.
    """

    port: int
    user: str
    admin: str


class FixturesProcess(Interpreter):
    """The application's interpreter with Django set up, waiting for commands. Use it as a context manager.

    One thread at a time may call `dump` or `load`; any thread may call `kill`. `registry` is there once it is ready.
    """

    registry: Registry

    @classmethod
    def start(
        cls,
        python: Path,
        application_path: Path,
        environment: Mapping[str, str],
        work_path: Path,
        account: Account | None = None,
    ) -> FixturesProcess:
        """Given the application's interpreter, folder and environment, start Django and wait until it is there.

        :param work_path: a folder that only we can read; the program is written there and removed at the end
        :param account: who runs it, if not ourselves
        :raises ApplicationError: the interpreter or the application does not start
        """
        started = cls.launch(python, application_path, environment, work_path, account)
        try:
            started.wait_until_ready()
        except BaseException:
            started.close()
            raise
        return started

    def wait_until_ready(self) -> None:
        """Wait until Django is set up; `registry` is known from then on.

        :raises ApplicationError: the application does not start, or not in time
        """
        late = threading.Timer(_PATIENCE, self.kill)
        late.daemon = True
        late.start()
        try:
            self.registry = Registry.parse(self._receive("ready"))
        finally:
            late.cancel()

    def dump(
        self,
        *,
        snapshot: str | None,
        lock_tables: Sequence[str],
        lock_timeout: float,
        apps: Sequence[str] | None,
        open_member: Callable[[str], Member],
        inside: bool = False,
        partial: bool = False,
    ) -> FixturesReport:
        """Given an exported snapshot, write each app's fixture to a member of its own; return what was in it.

        :param lock_tables: quoted names; all are locked (`ACCESS SHARE`) before anything is read
        :param lock_timeout: seconds to wait for a lock; 0: without end
        :param apps: labels; None for all
        :param open_member: called with an app's label; the member is closed when the fixture is complete, and only
            then; aborted where it cannot be read
        :param inside: read inside the transaction of a load that holds, what it is about to commit
        :param partial: leave out an app that cannot be read, and say so in the report
        :raises LockTimeoutError: a lock was not to be had; the members are worth nothing, the process takes another try
        :raises ApplicationError: the application failed, and is gone
        """
        self._send(
            do="dump",
            snapshot=snapshot,
            lock_tables=list(lock_tables),
            lock_timeout_ms=max(1, int(lock_timeout * 1000)) if lock_timeout else 0,
            apps=None if apps is None else list(self.registry.require(apps)),
            inside=inside,
            partial=partial,
        )
        member: Member | None = None
        sizes: dict[str, int] = {}
        missing: dict[str, str] = {}
        while True:
            kind, payload = self._receive_frame()
            if kind == channel.DATA_FRAME:
                if member is None:
                    raise self._failed("it sent data out of turn")
                member.write(payload)
                continue
            message = self._message(payload)
            event = message["event"]
            if event == "app":
                member = open_member(message["app"])
            elif event == "app-end" and member is not None:
                member.close()
                member = None
                sizes[message["app"]] = message["objects"]
            elif event == "app-failed" and member is not None:
                member.abort()
                member = None
                missing[message["app"]] = scrubbed(message["reason"], self._environment)
            elif event == "report":
                return FixturesReport.parse(message, self.registry, sizes, missing)
            elif event == "lock-timeout":
                raise LockTimeoutError(
                    "the application's Django could not lock a table in time, or a standby has ended its reading",
                    "a migration is running, or waits",
                )
            else:
                raise self._failed(f"it sent {event!r} out of turn")

    def connection_info(self) -> ConnectionInfo:
        """Return which database the application is connected to, and what is there."""
        self._send(do="connection_info")
        return ConnectionInfo.parse(self._receive("connection_info"))

    def prepare(self, extensions: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Given names and schemas of extensions, make them, and a schema for the tables, in a new database.

        :returns: the extensions that could not be made, with the reason
        """
        self._send(do="prepare", extensions=[list(each) for each in extensions])
        return dict(self._receive("prepared")["refused"])

    def migrations_of_code(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the migrations that `migrate` would note for each app in an empty database."""
        self._send(do="migrations")
        return {app: tuple(names) for app, names in self._receive("migrations")["apps"].items()}

    def references(self, apps: Sequence[str]) -> tuple[str, ...]:
        """Given labels of apps, return those of the other apps whose rows they refer to by primary key."""
        self._send(do="references", apps=list(self.registry.require(apps)))
        return tuple(self._receive("references")["apps"])

    def clear(self) -> None:
        """Drop all tables of the database that the application is connected to.

        :raises ApplicationError: that failed
        """
        self._send(do="clear")
        self._receive("cleared")

    def wait(self) -> None:
        """Wait until the process is gone."""
        self._process.wait()

    def visit(self, token: str) -> Visit:
        """Given the token of the first request, serve the application's pages on 127.0.0.1, until this is closed.

        :raises ApplicationError: they cannot be served
        """
        self._send(do="visit", token=token)
        told = self._receive("visit")
        return Visit(int(told["port"]), str(told["user"]), str(told["admin"]))

    def load(
        self,
        apps: Sequence[str],
        members: Iterable[tuple[str, Iterable[bytes]]],
        empty: bool,
        *,
        locked: Callable[[], None] | None = None,
        hold: bool = False,
        without: Collection[str] = (),
        lookup: Collection[str] = (),
    ) -> LoadReport:
        """Given members as (app, bytes), load them in one transaction; return how many objects there were.

        :param apps: labels of the apps whose members will come; empty: whatever comes is taken. Members should come in
            the order of an archive of ours; from older archives, `contenttypes` first, then `auth`
        :param empty: remove the apps' rows first, but not content types and permissions
        :param locked: lock the apps' tables against every writer first, then call this; if it raises, nothing is done
        :param without: labels of models that are on views: their rows are not loaded, and not in the digests
        :param lookup: apps whose members are not loaded: they only tell what the ids in the others mean
        :param hold: keep the transaction open until `commit`; whatever else happens undoes it
        :raises LockTimeoutError: somebody else is writing
        :raises ApplicationError: something could not be loaded: nothing was, and the process is gone
        """
        self._send(do="load", apps=list(self.registry.require(apps)), empty=empty, lock=locked is not None, hold=hold)
        if locked:
            self._receive("locked")
            locked()
        digests: dict[str, str] = {}
        for app, chunks in members:
            self._send(do="load-member", app=app, lookup=app in lookup)
            digest = FixtureDigest(without)
            for chunk in chunks:
                digest.write(chunk)
                for start in range(0, len(chunk), channel.FRAME_SIZE):
                    self._write(channel.DATA_FRAME, chunk[start : start + channel.FRAME_SIZE])
            self._write(channel.DATA_FRAME, b"")
            digest.close()
            if app not in lookup:
                digests[app] = digest.hexdigest()
        self._send(do="load-end")
        message = self._receive("loaded")
        for note in message.get("notes", ()):
            log.warning("%s", note)
        return LoadReport(
            tuple(message["apps"]), dict(message["models"]), digests, dict(message["copied"]), tuple(message["others"])
        )

    def commit(self) -> None:
        """Make what a load with `hold` has done lasting.

        :raises ApplicationError: it is not known whether that was done
        """
        self._send(do="commit")
        self._receive("committed")
