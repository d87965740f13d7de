"""A rehearsal: what a tick has dumped is restored both ways into a throwaway PostgreSQL on the server, without any key.

It runs as the application's owner, under a lock of its own, as a neighbour that gives way: lowest priority, first to be
ended where memory runs out, limited in size and time. What came of it is remembered, told by `status`, recorded in
the store beside the drills, and stands in the next archive's manifest.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ..archive.file import ArchiveFile, inspect
from ..django_app.environment import Code, check_user
from ..django_app.sources import owner_dsn
from ..errors import BackupsError, BusyError, DatabaseError, DiskError, RehearsalError, StoreError
from ..postgres.preflight import may_become
from ..postgres.session import connect_directly, fetch_all, server_major
from ..settings import DRILLS, Settings
from ..state.folder import PATIENCE, QUEUED, SERVER, State
from ..state.last_rehearsal import FAILED, IMPOSSIBLE, NOT_TRIED, REHEARSED, LastRehearsal
from ..system.accounts import ourselves
from ..system.priority import give_way
from ..system.timestamps import iso
from .queue import LOCK, put_in, schema_of
from .throwaway import throwaway
from .trial import Conditions, Trial

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..postgres.dsn import Dsn
    from .throwaway import Throwaway

log = logging.getLogger(__name__)

_TIMES_THE_DATABASE = 3
"""So much of the disk two databases, their WAL and the dataset take, as a multiple of the database's size."""
_SPARE = 200 << 20
"""Bytes: an empty server, and what must stay free."""
_SOCKET_PATH = 107
"""Bytes: what a path of a Unix socket may have."""
_CREATES = "SELECT spcname FROM pg_catalog.pg_tablespace WHERE pg_catalog.has_tablespace_privilege(oid, 'CREATE')"


class _TimeUpError(KeyboardInterrupt):
    """A kind of KeyboardInterrupt, so that nothing on the way takes it for an ordinary failure."""


def rehearse(settings: Settings, *, kept: bool = False) -> LastRehearsal | None:
    """Given the settings, rehearse a restore, remember what came of it, and return that.

    :param kept: of a dataset that a tick has kept; None is returned where there is none. Otherwise a new one is dumped.
    :raises BusyError: another rehearsal is at work
    :raises BackupsError: nothing could be dumped
    """
    check_user()
    os.umask(0o077)
    with _lock(settings.state_path / LOCK), _dataset(settings, kept=kept) as archive:
        if archive is None:
            return None
        give_way()
        began, at = time.monotonic(), time.time()
        result = _Result()
        with _limited(settings.rehearsal_timeout, result):
            _run(settings, archive, result)
        manifest = result.manifest
        done = LastRehearsal(
            at=at, verdict=result.verdict, sql=result.sql, fixtures=result.fixtures, both=result.both,
            data_of=iso(manifest.created) if manifest else "", hint=result.hint,
            seconds=round(time.monotonic() - began, 1), schema=schema_of(manifest) if manifest else "",
        )  # fmt: skip
        # Under the lock still: who waits for its end finds what came of it.
        State(settings.state_path).store_rehearsal(done)
        _record(settings, done)
    return done


class _Result:
    """What is known so far."""

    def __init__(self) -> None:
        self.manifest: Manifest | None = None
        self.sql = self.fixtures = self.both = NOT_TRIED
        self.hint = ""
        self.whole = True
        """Whether the fixtures hold all rows: where an app's tables are in several schemas, they do not."""
        self._failed = self._impossible = False

    @property
    def verdict(self) -> str:
        """REHEARSED only where everything was tried and proven."""
        if self._failed:
            return FAILED
        tried = self.whole and not self._impossible and NOT_TRIED not in (self.sql, self.fixtures, self.both)
        return REHEARSED if tried else IMPOSSIBLE

    def impossible(self, error: BackupsError) -> str:
        """Given why a part cannot be tried, return it as text."""
        self._impossible = True
        self.hint = self.hint or error.hint
        return f"cannot be tried: {error.message}"

    def failed(self, error: BackupsError) -> str:
        """Given how a part failed, return it as text."""
        self._failed = True
        self.hint = error.hint or self.hint
        log.error("a restore would fail: %s", error.message)
        return f"FAILED: {error.message}"

    def said(self, error: BackupsError) -> str:
        """Given an error of a part, return it as text."""
        return (self.impossible if isinstance(error, (RehearsalError, DiskError)) else self.failed)(error)


def _run(settings: Settings, archive: ArchiveFile, result: _Result) -> None:
    """Restore both ways and compare; `result` says what came of it."""
    try:
        result.manifest = manifest = inspect(archive).manifest
        if manifest is None:
            raise RehearsalError("the dataset has no manifest")
        owner, environment = owner_dsn(settings)
        _check_size(settings, manifest)
        major, conditions = _conditions(settings, owner, environment)
        with _server(settings, major) as server:
            moved = server.work / "dataset.tar.gz"
            archive.path.rename(moved)  # whoever ends this process, the server's watcher removes it
            trial = Trial(server, ArchiveFile(moved), conditions)
            trial.prepare()
            _try_both(trial, manifest, conditions.code, result)
    except BackupsError as error:
        result.sql = result.said(error)


def _try_both(trial: Trial, manifest: Manifest, code: Code | None, result: _Result) -> None:
    """SQL and fixtures, whatever came of the other; then whether they came to the same."""
    from ..archive.manifest import app_of

    sql = fixtures = None
    try:
        sql, result.sql = trial.load_sql()
    except BackupsError as error:
        result.sql = result.said(error)
    missing = manifest.fixtures.get("missing", {})
    apps = [app for member in manifest.members if (app := app_of(member.name)) and app not in missing]
    if code is None:
        result.fixtures = result.impossible(RehearsalError("checkniner_backups_rehearsal is sql"))
    elif not apps:
        result.fixtures = result.impossible(RehearsalError("the dataset has no fixture"))
    else:
        try:
            fixtures, verification = trial.load_fixtures(code, apps)
            result.fixtures = verification.summary
            result.whole = verification.proven
        except BackupsError as error:
            result.fixtures = result.said(error)
    if missing:
        result.fixtures += f"; without {', '.join(sorted(missing))}, which could not be read"
    if code and sql and fixtures:
        try:
            result.both = trial.compare(code, sql, fixtures, apps)
        except BackupsError as error:
            result.both = result.said(error)


def _conditions(settings: Settings, owner: Dsn, environment: dict[str, str]) -> tuple[int, Conditions]:
    """Ask the live server what a restore there meets; return its major version too."""
    with connect_directly(owner) as connection:
        major = server_major(connection)
        role = owner.user or connection.info.user
        memberships = may_become(connection, role)
        tablespaces = {row[0] for row in fetch_all(connection, _CREATES)}
    code = Code(settings.application_path, settings.virtualenv) if settings.rehearsal == "full" else None
    return major, Conditions(
        settings.name, code, role, memberships, tablespaces, settings.allowed_extensions, settings.skip_settings,
        isolated=True, environment=environment,
    )  # fmt: skip


def _check_size(settings: Settings, manifest: Manifest) -> None:
    """Given the manifest, return if there is room for a rehearsal.

    :raises RehearsalError: there is not, or the database is larger than may be rehearsed here
    """
    size = manifest.database.get("size", 0)
    if size > settings.rehearsal_max_size:
        raise RehearsalError(
            f"the database has {size} bytes, more than the {settings.rehearsal_max_size} that are rehearsed here",
            "checkniner_backups_rehearsal_max_size is the limit; drill.yml tries a restore on another machine",
        )
    free, needed = shutil.disk_usage(settings.state_path).free, size * _TIMES_THE_DATABASE + _SPARE
    if free < needed:
        raise RehearsalError(
            f"the disk of {settings.state_path} has {free} bytes free, and a rehearsal may need {needed}",
            "free some, or set checkniner_backups_rehearsal: none",
        )


@contextmanager
def _server(settings: Settings, major: int) -> Iterator[Throwaway]:
    longest = settings.state_path / f"{SERVER}12345678" / ".s.PGSQL.5432"
    if len(os.fsencode(longest)) > _SOCKET_PATH:
        raise RehearsalError(f"the path {settings.state_path} is too long for a server's socket")
    try:
        with throwaway(ourselves(), parent=settings.state_path, prefix=SERVER, major=major) as server:
            yield server
    except DatabaseError as error:
        # What happens in the server is caught where it happens: this is the server itself.
        raise RehearsalError(error.message, error.hint) from None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    try:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise BusyError("another rehearsal is at work", "status tells what came of it") from None


@contextmanager
def _dataset(settings: Settings, *, kept: bool) -> Iterator[ArchiveFile | None]:
    """Yield the dataset, as an archive that only we can read; it is removed on any exit."""
    found = sorted(settings.state_path.glob(f"{QUEUED}*.tar.gz"))
    path = found[-1] if found else None
    if path is None and not kept:
        path = _dump(settings)
    try:
        if path is None:
            yield None
        else:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)  # so that no tick takes it for a killed run's
                yield ArchiveFile(path)
    finally:
        for each in {*found, *([path] if path else [])}:
            each.unlink(missing_ok=True)


def _dump(settings: Settings) -> Path:
    """Dump as a tick would that has something to save; return the archive."""
    from ..backup.manifests import read_manifest
    from ..backup.tick import DATASET, check, prepared

    with prepared(settings, force=True, patience=PATIENCE) as context, context.state.work_folder() as folder:
        check(context, folder)
        return put_in(settings, folder / DATASET, read_manifest(folder))


@contextmanager
def _limited(seconds: float, result: _Result) -> Iterator[None]:
    """End what is inside after a time, as something that cannot be rehearsed."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _TimeUpError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TimeUpError:
        error = RehearsalError(
            f"it took longer than {seconds:.0f} s", "checkniner_backups_rehearsal_timeout is the limit, in seconds"
        )
        name = next((name for name in ("sql", "fixtures", "both") if getattr(result, name) == NOT_TRIED), "both")
        setattr(result, name, result.impossible(error))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _record(settings: Settings, done: LastRehearsal) -> None:
    """Put the result beside the records of drills: it outlives this server."""
    from ..storage.s3 import Store

    store = Store(settings.store)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(done.at))
    try:
        store.put_json(f"{store.prefix}{DRILLS}{stamp}.rehearsal.json", asdict(done))
    except StoreError as error:
        log.warning("the rehearsal is not recorded in the store: %s", error.message)
