"""Fixtures into a database, by the application's own code: a new one, one elsewhere, or the live one.

The application is pointed at a database by `DATABASE_URL`. Whether it went there is looked at before anything is
written: settings that do not follow the variable would empty a database that nobody meant.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from ..archive.file import Progress, Source, inspect, opened, told
from ..archive.manifest import app_of
from ..django_app.environment import read_activate, run_command
from ..django_app.process import FixturesProcess
from ..django_app.program import scrubbed
from ..errors import ApplicationError, BackupsError, RestoreError
from ..postgres.dsn import is_postgres, parse_url
from ..state import scratch_folder
from ..system.accounts import Account
from ..verify.database import checked
from ..verify.fixtures import prove_fixtures

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..archive.reader import ArchiveReader
    from ..django_app.registry import LoadReport, Place
    from ..settings import Settings
    from ..verify.database import Proof

log = logging.getLogger(__name__)

_SHOWN = 10
_WORDS = 8192
"""Bytes of what a command printed that are kept."""
_FIRST = ("contenttypes", "auth")
"""What the plain fixtures of other apps refer to by id."""


@dataclass(frozen=True)
class Target:
    """The application's code, pointed at a database by `DATABASE_URL` in its environment.

    :param work_path: a folder for a file of ours, 0700
    :param account: who runs it, if not ourselves
    """

    python: Path
    application_path: Path
    environment: Mapping[str, str] = field(repr=False)
    work_path: Path
    account: Account | None = None

    @contextmanager
    def started(self) -> Iterator[FixturesProcess]:
        """Yield the application's interpreter, connected to the database that is meant, and to no other.

        :raises ApplicationError: its settings lead elsewhere
        """
        with FixturesProcess.start(
            self.python, self.application_path, self.environment, self.work_path, self.account
        ) as process:
            _check_place(process.place(), self.environment["DATABASE_URL"])
            yield process

    def migrate(self) -> None:
        """Make the application's tables, or bring them up to date.

        :raises RestoreError: that failed
        """
        argv = [str(self.python), "-m", "django", "migrate", "--no-input", "--verbosity", "0"]
        with tempfile.TemporaryFile(dir=self.work_path) as said:
            status = run_command(argv, self.application_path, self.environment, self.account, said=said)
            words = self._last_words(said)
        for line in words:
            log.info("migrate: %s", line)
        if status:
            raise RestoreError(
                f"migrate ended with status {status}: {words[-1] if words else 'it said nothing'}",
                "the application's own migrations must run on an empty database",
            )

    def _last_words(self, said: IO[bytes]) -> list[str]:
        """Given what a command printed, return the end of it as lines, without secrets."""
        said.seek(max(0, said.seek(0, os.SEEK_END) - _WORDS))
        text = scrubbed(said.read().decode(errors="replace"), self.environment)
        return [line.rstrip() for line in text.splitlines() if line.strip()]


@contextmanager
def target_of(settings: Settings, url: str = "") -> Iterator[Target]:
    """Given the settings and a database's URL (empty: the live one's), yield the application pointed at it."""
    environment = read_activate(settings.virtualenv)
    if url:
        environment["DATABASE_URL"] = url
    with scratch_folder(settings.state_path) as folder:
        yield Target(settings.virtualenv / "bin" / "python", settings.application_path, environment, folder)


def into_new(
    target: Target,
    source: Source,
    apps: Iterable[str] = (),
    *,
    other_migrations: bool = False,
    progress: Progress | None = None,
    clear: bool = False,
) -> Proof:
    """Given a target that is a new, empty database, migrate it, load fixtures in one transaction and prove them.

    :param apps: labels of the apps to load; empty for all that the archive holds
    :param other_migrations: load although the application's migrations are not the archive's
    :param clear: after a failure, drop the tables that were made: nobody drops the whole database then
    :raises ProofError: what was loaded differs from the archive
    :raises RestoreError: the target is not empty, or of another database, or has other migrations; or the archive does
        not hold the apps
    """
    with target.started() as process, opened(source) as reader:
        place = process.place()
        if place.tables:
            raise RestoreError(
                f"the database {place.name} holds {place.tables} tables already", "name a new, empty database"
            )
        chosen = process.registry.require(choose(reader, source, apps))
        # Those of the code, not of the database: what is refused must leave it empty, for the next try.
        if not other_migrations:
            check_migrations(reader.manifest, process.migrations_of_code(), chosen)
        try:
            log.info("migrating %s", place.name)
            target.migrate()
            report = process.load(chosen, _Members(reader, source, chosen, progress).all(), empty=True)
            _check_loaded(report, chosen)
            log.info("loaded %d objects", sum(report.objects.values()))
            return checked(prove_fixtures(process, report.digests if reader.manifest else {}))
        except BaseException:
            process.close()  # it may hold locks
            if clear:
                _clear(target)
            raise


def _clear(target: Target) -> None:
    try:
        with target.started() as process:
            process.clear()
    except BackupsError as error:
        log.warning("what was loaded so far stays: %s", error.message)


def into_live(
    target: Target,
    source: Source,
    apps: Iterable[str],
    locked: Callable[[FixturesProcess], None],
    *,
    other_migrations: bool = False,
    progress: Progress | None = None,
) -> Proof:
    """Given a target in use, replace the apps' rows by the archive's, in one transaction that is proven before it ends.

    :param locked: called when nobody else can write the apps' tables; what it raises leaves everything as it was
    :raises ProofError: what was loaded differs from the archive; everything is as it was
    :raises BackupsError: anything else, such as an archive without one of the apps; everything is as it was
    """
    with target.started() as process, opened(source) as reader:
        chosen = choose(reader, source, apps)
        if not other_migrations:
            check_migrations(reader.manifest, process.place().migrations, chosen)
        members = _Members(reader, source, chosen, progress).all()
        report = process.load(chosen, members, empty=True, locked=lambda: locked(process), hold=True)
        _check_loaded(report, chosen)
        log.info("loaded %d objects; comparing them before they count", sum(report.objects.values()))
        proof = checked(prove_fixtures(process, report.digests if reader.manifest else {}, inside=True))
        process.commit()
        return proof


def choose(reader: ArchiveReader, source: Source, wanted: Iterable[str]) -> tuple[str, ...]:
    """Given an archive, opened and as it lies there, and the apps that are wanted (none: all), return these apps.

    They are in the archive's order. One without a manifest is read to its end for that: rows would be deleted before
    its members have told what they are.

    :raises RestoreError: it does not hold one of them, or no app at all
    """
    wanted = tuple(wanted)
    members = reader.manifest.members if reader.manifest else inspect(source, verify=True).members
    there = tuple(app for member in members if (app := app_of(member.name)))
    unknown = sorted(set(wanted) - set(there))
    if unknown or not there:
        _refuse_for_lack_of(unknown, there)
    return tuple(app for app in there if not wanted or app in wanted)


def _check_loaded(report: LoadReport, chosen: tuple[str, ...]) -> None:
    """Given what was loaded and what was meant to be, refuse a load that left out something.

    :raises RestoreError: an app did not come, or none did
    """
    missing = sorted(set(chosen) - set(report.apps))
    if missing or not report.apps:
        _refuse_for_lack_of(missing, report.apps)


def _refuse_for_lack_of(apps: Iterable[str], there: Iterable[str]) -> NoReturn:
    raise RestoreError(
        f"the archive holds no fixture of {', '.join(apps) or 'any app'}",
        f"it holds those of {', '.join(there) or 'none'}; name others with apps, or take another archive or source=sql",
    )


def check_migrations(manifest: Manifest | None, migrations: Mapping[str, Iterable[str]], apps: Iterable[str]) -> None:
    """Given an archive's manifest and the migrations of what it is loaded into, compare those of the apps.

    :raises RestoreError: they differ; the message names them
    """
    theirs: Mapping[str, Iterable[str]] = manifest.fixtures.get("migrations", {}) if manifest else {}
    if not theirs:
        return
    ahead, behind = [], []
    for app in apps:
        here, there = set(migrations.get(app, ())), set(theirs.get(app, ()))
        ahead += [f"{app}.{name}" for name in sorted(here - there)]
        behind += [f"{app}.{name}" for name in sorted(there - here)]
    parts = [f"{_named(names)} {word}" for names, word in ((ahead, "only here"), (behind, "only there")) if names]
    if parts:
        raise RestoreError(
            f"the application's migrations are not those of the archive: {'; '.join(parts)}",
            "restore from SQL (source=sql), then run the application's migrate; or check out the application's version"
            " of that time; to load all the same: other_migrations=true",
        )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class _Members:
    """The fixtures of an archive, in an order that can be loaded."""

    def __init__(self, reader: ArchiveReader, source: Source, apps: tuple[str, ...], progress: Progress | None) -> None:
        self._reader = reader
        self._source = source
        self._apps = apps
        self._progress = progress

    def all(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each app and the bytes of its fixture."""
        if self._reader.manifest:
            yield from self._of(self._reader)
            return
        # An archive of the old scripts refers to these by id: it is read once more for each group.
        for group in (_FIRST[:1], _FIRST[1:], ()):
            with opened(self._source) as reader:
                for app, chunks in self._of(reader):
                    if app in group or not (group or app in _FIRST):
                        yield app, chunks

    def _of(self, reader: ArchiveReader) -> Iterator[tuple[str, Iterator[bytes]]]:
        for member in reader:
            app = app_of(member.name)
            if app and (not self._apps or app in self._apps):
                yield app, told(member, self._progress)


def _check_place(place: Place, url: str) -> None:
    import dj_database_url

    if "://" in url and is_postgres(url):
        dsn = parse_url(url)
        name, host = dsn.database, dsn.host
    else:
        wanted = dj_database_url.parse(url)
        name, host = str(wanted.get("NAME") or ""), str(wanted.get("HOST") or "")
    if place.name != name or (place.host and host and place.host != host):
        raise ApplicationError(
            f"the application was sent to the database {name!r}, but its settings lead to {place.name!r}",
            "its settings must take the database from DATABASE_URL; nothing was written",
        )
