"""Fixtures into a database, by the application's own code: a new one, one elsewhere, or the live one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from ..archive.file import ArchiveFile, Progress, inspect, opened, with_progress
from ..archive.manifest import app_of
from ..django_app.process import FixturesProcess
from ..errors import BackupsError, RestoreError, shortened
from ..verify.database import checked
from ..verify.fixtures import in_no_fixture, of_no_model, qualified_by, verify_fixtures, with_tables_of_no_model
from .stages import NOTHING, Accepted
from .target import Target

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..archive.reader import ArchiveReader
    from ..django_app.registry import ConnectionInfo, LoadReport
    from ..verify.database import Verification

log = logging.getLogger(__name__)

_FIRST = ("contenttypes", "auth")
"""What the plain fixtures of other apps refer to by id."""


def into_new(
    target: Target,
    archive: ArchiveFile,
    apps: Iterable[str] = (),
    *,
    accepted: Accepted = NOTHING,
    progress: Progress | None = None,
    clear: bool = False,
) -> Verification:
    """Given a target that is a new, empty database, migrate it, load fixtures in one transaction and prove them.

    :param apps: labels of the apps to load; empty for all that the archive holds
    :param accepted: what is loaded although it is not as the archive has it
    :param clear: after a failure, drop the tables that were made: nobody drops the whole database then
    :raises VerificationError: what was loaded differs from the archive
    :raises RestoreError: the target is not empty, or of another database, or has other migrations; or the archive does
        not hold the apps
    """
    with opened(archive) as reader:
        with target.started() as process:
            connected = process.connection_info()
            if connected.tables:
                raise RestoreError(
                    f"the database {connected.name} holds {connected.tables} tables already",
                    "name a new, empty database",
                )
            chosen = process.registry.require(choose(reader, archive, apps))
            # Those of the code, not of the database: what is refused must leave it empty, for the next try.
            if not accepted.migrations:
                check_migrations(reader.manifest, process.migrations_of_code(), chosen)
            for name, reason in process.prepare(_trusted_extensions(reader.manifest)).items():
                log.warning("the extension %s could not be made before the migrations: %s", name, reason)
        try:
            log.info("migrating %s", connected.name)
            target.migrate()
            # Connected anew: types that an extension brings are looked up once, at the connection's start.
            with target.started() as process:
                connected = process.connection_info()
                _check_unmanaged(connected, reader.manifest, chosen)
                members = _Members(reader, archive, chosen, progress, process.references(chosen))
                report = process.load(chosen, members.all(), empty=True, without=connected.views, lookup=members.lookup)
                _check_loaded(report, chosen, accepted)
                log.info("loaded %d objects", sum(report.objects.values()))
                expected = report.digests if reader.manifest else {}
                found = checked(verify_fixtures(process, expected, without=connected.views))
                if reader.manifest:
                    found = qualified_by(found, in_no_fixture(reader.manifest, process.registry, chosen))
                    found = with_tables_of_no_model(found, of_no_model(reader.manifest, chosen))
                return _qualified(found, reader.manifest, chosen)
        except BaseException:
            if clear:
                _clear(target)
            raise


def _trusted_extensions(manifest: Manifest | None) -> list[tuple[str, str]]:
    """Return names and schemas of the extensions of the archive's database that its owner may make."""
    found = manifest.database.get("extensions", ()) if manifest else ()
    return [(each["name"], each["schema"]) for each in found if each.get("trusted")]


def _check_unmanaged(connected: ConnectionInfo, manifest: Manifest | None, apps: Iterable[str]) -> None:
    """Given the migrated database, return if no object of the archive belongs to a table that is not there.

    :raises RestoreError: one does: no migration makes the table
    """
    objects: Mapping[str, int] = manifest.fixtures.get("objects", {}) if manifest else {}
    absent = sorted(
        label
        for label, kind in connected.unmanaged.items()
        if kind == "absent" and objects.get(label) and label.partition(".")[0] in tuple(apps)
    )
    if absent:
        raise RestoreError(
            f"the application's migrations make no table for {', '.join(absent)}, of which the archive has rows",
            "restore from SQL (source=sql), which holds these tables too; or name other apps",
        )


def _clear(target: Target) -> None:
    try:
        with target.started() as process:
            process.clear()
    except BackupsError as error:
        log.warning("what was loaded so far stays: %s", error.message)


def into_live(
    target: Target,
    archive: ArchiveFile,
    apps: Iterable[str],
    locked: Callable[[FixturesProcess], None],
    *,
    accepted: Accepted = NOTHING,
    progress: Progress | None = None,
) -> Verification:
    """Given a target in use, replace the apps' rows by the archive's, in one transaction that is proven before it ends.

    :param locked: called when nobody else can write the apps' tables; what it raises leaves everything as it was
    :raises VerificationError: what was loaded differs from the archive; everything is as it was
    :raises BackupsError: anything else, such as an archive without one of the apps; everything is as it was
    """
    with target.started() as process, opened(archive) as reader:
        chosen = choose(reader, archive, apps)
        connected = process.connection_info()
        if not accepted.migrations:
            check_migrations(reader.manifest, connected.migrations, chosen)
        members = _Members(reader, archive, chosen, progress, process.references(chosen))
        report = process.load(
            chosen, members.all(), empty=True, locked=lambda: locked(process), hold=True, without=connected.views,
            lookup=members.lookup,
        )  # fmt: skip
        _check_loaded(report, chosen, accepted)
        log.info("loaded %d objects; comparing them before they count", sum(report.objects.values()))
        verification = checked(
            verify_fixtures(process, report.digests if reader.manifest else {}, inside=True, without=connected.views)
        )
        process.commit()
        return _qualified(verification, reader.manifest, chosen)


def choose(reader: ArchiveReader, archive: ArchiveFile, wanted: Iterable[str]) -> tuple[str, ...]:
    """Given an archive, opened and as it lies there, and the apps that are wanted (none: all), return these apps.

    They are in the archive's order. One without a manifest is read to its end for that: rows would be deleted before
    its members have told what they are.

    :raises RestoreError: it does not hold one of them, or no app at all
    """
    wanted = tuple(wanted)
    _refuse_missing(reader.manifest, wanted)
    members = reader.manifest.members if reader.manifest else inspect(archive, verify=True).members
    there = tuple(app for member in members if (app := app_of(member.name)))
    unknown = sorted(set(wanted) - set(there))
    if unknown or not there:
        _refuse_for_lack_of(unknown, there)
    return tuple(app for app in there if not wanted or app in wanted)


def _qualified(verification: Verification, manifest: Manifest | None, apps: Iterable[str]) -> Verification:
    """Given a verification, return it with what the fixtures of these apps never held exactly: only the SQL does."""
    inexact: Mapping[str, list[str]] = manifest.fixtures.get("inexact", {}) if manifest else {}
    lines = [line for app in apps for line in inexact.get(app, ())]
    if not lines:
        return verification
    summary = f"{verification.summary}; NOT exact, for no fixture can be (restore from SQL instead): {'; '.join(lines)}"
    return replace(verification, summary=summary)


def _refuse_missing(manifest: Manifest | None, wanted: tuple[str, ...]) -> None:
    """Given the apps that are wanted (none: all), return if the archive lacks none of them.

    :raises RestoreError: it does: its fixture could not be read when the archive was made
    """
    fixtures = manifest.fixtures if manifest else {}
    missing: Mapping[str, str] = fixtures.get("missing", {})
    lacking = {app: reason for app, reason in missing.items() if not wanted or app in wanted}
    if lacking:
        whole = fixtures.get("last_whole", "")
        raise RestoreError(
            "the archive lacks fixtures that could not be read when it was made: "
            + "; ".join(f"{app}: {reason}" for app, reason in sorted(lacking.items())),
            "its SQL is complete: restore from SQL (source=sql)"
            + (f"; the newest archive that lacks no fixture is {whole} (archive={whole})" if whole else ""),
        )


def _check_loaded(report: LoadReport, chosen: tuple[str, ...], accepted: Accepted) -> None:
    """Given what was loaded and what was meant to be, refuse a load that left out something, or that refers to rows of
    other apps which are other rows than they were.

    :raises RestoreError: an app did not come, or none did; or there are such rows, and they were not accepted
    """
    missing = sorted(set(chosen) - set(report.apps))
    if missing or not report.apps:
        _refuse_for_lack_of(missing, report.apps)
    if report.others and not accepted.rows:
        apps = sorted({*chosen, *(line.partition(".")[0] for line in report.others)})
        raise RestoreError(
            f"the rows that the archive refers to are others here: {shortened(report.others)}",
            f"load their apps too (apps={','.join(apps)}), or restore from SQL; where they are the same rows under"
            " other names, load all the same: other_rows=true",
        )


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
    parts = [f"{shortened(names)} {word}" for names, word in ((ahead, "only here"), (behind, "only there")) if names]
    if parts:
        raise RestoreError(
            f"the application's migrations are not those of the archive: {'; '.join(parts)}",
            "restore from SQL (source=sql), then run the application's migrate; or check out the application's version"
            " of that time; to load all the same: other_migrations=true",
        )


class _Members:
    """The fixtures of an archive, in an order that can be loaded."""

    def __init__(
        self,
        reader: ArchiveReader,
        archive: ArchiveFile,
        apps: tuple[str, ...],
        progress: Progress | None,
        referenced: Collection[str],
    ) -> None:
        self._reader = reader
        self._archive = archive
        self._apps = apps
        self._progress = progress
        others = referenced if reader.manifest else _FIRST if apps else ()
        self.lookup = frozenset(others) - frozenset(apps)
        """Apps that are not loaded, whose rows are looked at."""

    def all(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each app and the bytes of its fixture."""
        if self._reader.manifest:
            yield from self._of(self._reader)
            return
        # An archive of the old scripts refers to these by id, also where they are not wanted themselves: it is read
        # once more for each group.
        for group in (_FIRST[:1], _FIRST[1:], ()):
            with opened(self._archive) as reader:
                for app, chunks in self._of(reader):
                    if app in group or not (group or app in _FIRST):
                        yield app, chunks

    def _of(self, reader: ArchiveReader) -> Iterator[tuple[str, Iterator[bytes]]]:
        for member in reader:
            app = app_of(member.name)
            if app and (not self._apps or app in self._apps or app in self.lookup):
                yield app, with_progress(member, self._progress)
