"""The check of the rows, the full check, and the dump, from one snapshot; again when a migration stands in the way.

`changes.py` says what each check means and decides; here is who reads what, when.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ApplicationError, EmptyDatabaseError, LockTimeoutError
from ..postgres.digest import TableDigest
from ..state.last_backup import Candidate, LastBackup
from ..system.timestamps import clock_warning
from . import candidate as candidates
from . import changes
from .changes import CheckLevel, Verdict
from .context import RunContext
from .coverage import Coverage, coverage
from .fingerprint import FingerprintReader
from .readers import Reader, run_concurrently

if TYPE_CHECKING:
    from ..django_app.process import FixturesProcess
    from ..django_app.registry import Registry
    from ..postgres.snapshot import Snapshot
    from .dump import Dataset

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dumped:
    """What checking and dumping came to.

    :param dataset: None where the cheap checks have settled it
    :param candidate: None where nothing is to be saved; what to remember once the store has confirmed the archive; key,
        size and digest are not known yet
    :param fault: the full check found a change that a cheap check had not seen
    :param missing: apps whose fixture could not be read, with the reason
    :param apps: the business apps
    :param no_model: quoted names of the tables that belong to no model: no fixture holds their rows
    """

    verdict: Verdict
    dataset: Dataset | None = None
    candidate: Candidate | None = None
    fault: bool = False
    missing: Mapping[str, str] = field(default_factory=dict)
    apps: tuple[str, ...] = ()
    no_model: tuple[str, ...] = ()


def check_and_dump(context: RunContext, folder: Path, meanwhile: Callable[[], object] = lambda: None) -> Dumped:
    """Given the run and an empty folder, check the data, and dump into `folder/dataset` where it is needed.

    :param meanwhile: is called in a thread of its own once a dump has begun

    :raises EmptyDatabaseError: there is no table
    :raises LockTimeoutError: migrations stood in the way at each attempt
    :raises BackupsError: something failed; nothing is remembered
    """
    attempts = context.settings.attempts
    with ExitStack() as stack:
        attempt = _Attempt(context, folder, stack, meanwhile)
        for number in range(1, attempts):
            try:
                return attempt.run()
            except LockTimeoutError as error:
                log.warning("attempt %d of %d: %s", number, attempts, error.message)
                time.sleep(min(2.0**number, 15.0))
        return attempt.run()


@dataclass
class _Attempt:
    """One try after the other. Django, once started, serves the next one as well."""

    context: RunContext
    folder: Path
    stack: ExitStack
    meanwhile: Callable[[], object]
    process: FixturesProcess | None = None
    broken: str = ""
    """Why the application's Django does not run: only the SQL can be saved then."""

    def run(self) -> Dumped:
        from ..postgres.session import connect_directly
        from ..postgres.snapshot import exported_snapshot

        # Needed for sure, or needed in the attempt before: then before the first lock, for it takes a while.
        if self.context.saved is None or self.context.force or self.process is not None:
            with connect_directly(self.context.dsn):
                pass  # what is wrong with the database or its URL is said better here than by Django
            if starting := self._begin_django():
                self._await_django(starting)
        with exported_snapshot(self.context.dsn, self.context.settings.lock_timeout) as snapshot:
            if not snapshot.tables:
                raise EmptyDatabaseError(
                    f"the database {self.context.dsn.database} has no tables",
                    "restore an archive: restore.yml -e source=sql; or, in a new application, run its migrations",
                )
            timestamp = time.time()
            cheap, taken = self._check_rows(snapshot)
            due = self.context.saved is None or changes.full_check_due(
                self.context.saved, timestamp, self.context.settings.full_check_every
            )
            if cheap and taken and self.context.saved and not due and not self.context.force:
                seen = replace(self.context.saved, snapshot_token=snapshot.token, row_versions=taken.row_versions)
                self.context.state.store_over(self.context.saved, seen)
                return Dumped(cheap, missing=self.context.saved.missing)
            return self._check_everything(snapshot, timestamp, cheap, taken.digests if taken else {})

    def _check_rows(self, snapshot: Snapshot) -> tuple[Verdict | None, FingerprintReader | None]:
        """Return "unchanged" or None, and what was read on the way."""
        last = self.context.saved
        if last is None or not last.fingerprint.whole or self.context.force:
            return None, None
        taken = self._fingerprint(snapshot, last.business_tables, last.migrations_table, last.ignored, {}, last=last)
        return changes.by_rows(last, taken.fingerprint), taken

    def _check_everything(
        self, snapshot: Snapshot, timestamp: float, cheap: Verdict | None, known: dict[int, TableDigest]
    ) -> Dumped:
        from ..postgres.session import clock_ahead
        from .dump import dump

        starting = self._begin_django()
        threading.Thread(target=self.meanwhile, name="meanwhile", daemon=True).start()
        process = self.process

        def ready() -> None:
            if starting:
                starting.read()
            # What is wrong with an app is told before it is read.
            if process:
                self._coverage(process.registry, snapshot)

        def attempt(reader: FixturesProcess | None) -> Dataset:
            folder = self.folder / "dataset"
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier attempt
            folder.mkdir(mode=0o700)
            return dump(snapshot, reader, folder, self.context.settings.migration_wait, known, before_fixtures=ready)

        if not self.broken:
            try:
                dataset = attempt(process)
            except ApplicationError as error:
                self._go_without_django(error)
        if self.broken or process is None:
            dataset = attempt(None)
            apps: tuple[str, ...] = ()
            no_model: tuple[str, ...] = ()
            candidate = candidates.without_django(
                self.context, snapshot, dataset, timestamp=timestamp, broken=self.broken, take=self._fingerprint
            )
        else:
            counted = self._coverage(process.registry, snapshot)
            apps, no_model = counted.apps, counted.unknown
            candidate = candidates.with_fixtures(
                self.context,
                snapshot,
                dataset,
                timestamp=timestamp,
                registry=process.registry,
                counted=counted,
                take=self._fingerprint,
            )
        if warning := clock_warning("the database server", clock_ahead(snapshot.connection)):
            candidate = replace(candidate, warnings=(*candidate.warnings, warning))
        verdict = changes.by_everything(
            self.context.saved, self.context.why_not, candidate.fingerprint, candidate.fixtures, candidate.missing
        )
        if self.context.force and not verdict.changed:
            verdict = Verdict(True, CheckLevel.NONE, "asked for, changed or not")
        if not verdict.changed and self.context.saved:
            # Equal but for `django_migrations` perhaps: another app's migration need not be looked into twice.
            seen = replace(
                self.context.saved,
                snapshot_token=snapshot.token,
                full_check_at=timestamp,
                fingerprint=candidate.fingerprint,
                row_versions=candidate.row_versions,
                missing=candidate.missing,
            )
            self.context.state.store_over(self.context.saved, seen)
            return Dumped(verdict, dataset, missing=candidate.missing)
        same_django = self.context.saved is not None and self.context.saved.django == candidate.django
        unexpected = cheap is not None or self._token_says_unchanged(snapshot)
        fault = (
            unexpected
            and same_django
            and not self.context.force
            and self.context.saved is not None
            and changes.cheap_checks_could_see(
                self.context.saved, candidate.fingerprint, candidate.fixtures, candidate.missing
            )
        )
        for warning in candidate.warnings:
            log.warning("%s", warning)
        for app, lines in candidate.inexact.items():
            log.warning("the fixture of %s is not exact, only the SQL is: %s", app, "; ".join(lines))
        return Dumped(verdict, dataset, candidate, fault, candidate.missing, apps, no_model)

    def _token_says_unchanged(self, snapshot: Snapshot) -> bool:
        return self.context.saved is not None and changes.by_token(self.context.saved, snapshot.token) is not None

    def _start_django(self) -> _Starting | None:
        """Start the application's interpreter; return the work of waiting until Django is there, None if it is."""
        from ..django_app.process import FixturesProcess

        if self.process and self.process.alive:
            return None
        self.process = self.stack.enter_context(
            FixturesProcess.launch(
                self.context.settings.virtualenv / "bin" / "python",
                self.context.settings.application_path,
                self.context.environment,
                self.folder,
            )
        )
        return _Starting(self.process)

    def _begin_django(self) -> _Starting | None:
        """As `_start_django`; None also where the application cannot be started at all."""
        try:
            return None if self.broken else self._start_django()
        except ApplicationError as error:
            self._go_without_django(error)
            return None

    def _await_django(self, starting: _Starting) -> None:
        try:
            starting.read()
        except ApplicationError as error:
            self._go_without_django(error)

    def _go_without_django(self, error: ApplicationError) -> None:
        """Given why the application does not run, save the SQL alone; not on a server that has saved nothing yet.

        There it is told as what it is, a set-up that is not complete: nobody knows yet what its business apps are.

        :raises ApplicationError: nothing was saved yet
        """
        if self.context.state.load() is None:
            raise error
        log.error("only the SQL can be saved: %s", error.message)
        self.broken = error.message

    def _run_reader(self, snapshot: Snapshot, reader: Reader) -> None:
        from ..postgres.snapshot import LockWaitLimit

        run_concurrently([reader], LockWaitLimit(snapshot, self.context.settings.migration_wait))

    def _fingerprint(
        self,
        snapshot: Snapshot,
        names: Sequence[str],
        migrations: str,
        ignored: Mapping[str, Iterable[str]],
        known: Mapping[int, TableDigest],
        *,
        last: LastBackup | None = None,
    ) -> FingerprintReader:
        hashing = FingerprintReader(snapshot, names, migrations, ignored, known, last=last)
        if hashing.all_known:
            hashing.work(snapshot.connection)
        else:
            self._run_reader(snapshot, hashing)
        return hashing

    def _coverage(self, registry: Registry, snapshot: Snapshot) -> Coverage:
        return coverage(registry, self.context.settings.business_apps, snapshot, changes.MIGRATIONS_TABLE)


class _Starting(Reader):
    """Waits until the application's Django is there."""

    def __init__(self, process: FixturesProcess) -> None:
        self._process = process

    def read(self) -> None:
        self._process.wait_until_ready()

    def stop(self) -> None:
        self._process.kill()
