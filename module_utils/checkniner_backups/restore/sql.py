"""Bringing data back into a new database, and proving it. The running database is not touched here.

A restore is: `inspect` the archive (archive/file.py), create a database (postgres/admin.py), `restore_sql` or
`restore_fixtures` into it as its owner, and only then swap. Each stage is a function, so that a playbook can give each
to the user whom it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..archive.file import ArchiveFile, Progress, opened, with_progress
from ..django_app.environment import check_user
from ..django_app.sources import owner_dsn
from ..errors import ArchiveError, NameNotFoundError, RestoreError
from ..postgres.dsn import Dsn
from ..postgres.snapshot import plain_reader
from ..settings import Settings
from ..system.stale_files import clean_up
from ..verify.database import NOT_PROVEN, Verification, checked, verify_sql
from .stages import NOTHING, Accepted

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..system.accounts import Account

log = logging.getLogger(__name__)


def restore_sql(
    settings: Settings,
    archive: ArchiveFile,
    database: str,
    *,
    skip_settings: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Given a new, empty database that belongs to the application's role, load the archive's SQL and prove it.

    :param skip_settings: leave out the settings that `ALTER DATABASE` had made
    :raises VerificationError: what was loaded differs from the manifest
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    check_user()
    clean_up(settings)
    live, _ = owner_dsn(settings)
    return load_and_verify(
        live.to(database), archive, skip_settings=skip_settings, progress=progress, live=live.database
    )


def load_and_verify(
    dsn: Dsn,
    archive: ArchiveFile,
    *,
    skip_settings: bool = False,
    account: Account | None = None,
    progress: Progress | None = None,
    live: str = "",
) -> Verification:
    """Given the way to a new, empty database as its owner, load the archive's SQL and prove it; see `restore_sql`.

    :param account: who runs `psql`, if not ourselves
    :param live: what the database will be called, for messages
    """
    from ..postgres.properties import apply_properties

    load = _Load(dsn, archive, account, progress)
    path = ""
    try:
        load.run()
    except NameNotFoundError as error:
        path = load.recorded_path
        if not path or not load.left_nothing():
            raise
        load.shut_out_others()
        log.warning("%s; it is loaded once more, with the application's search path: %s", error.message, path)
        load.run(path)
    manifest = load.manifest
    if manifest is None:
        return NOT_PROVEN
    metadata = dict(manifest.database)
    if skip_settings:
        metadata["settings"] = []
    apply_properties(dsn, metadata, live)
    log.info("comparing %d tables with the manifest", len(manifest.tables))
    verification = checked(verify_sql(dsn, manifest, skip_settings=skip_settings))
    if path:
        how = f"loaded with the search path {path}; materialised views were filled anew with it, and are not compared"
        return replace(verification, summary=f"{verification.summary} ({how})")
    return verification


class _Load:
    """Loads the SQL of an archive, perhaps a second time: with an empty search path, as the dump says, or with another.

    With a path in which names are found, functions may yield other values than they did: it is the second choice.
    """

    def __init__(self, dsn: Dsn, archive: ArchiveFile, account: Account | None, progress: Progress | None) -> None:
        self._dsn = dsn
        self._archive = archive
        self._account = account
        self._progress = progress
        self.manifest: Manifest | None = None

    @property
    def recorded_path(self) -> str:
        """The application's search path as the manifest tells it, for a statement; empty if it does not tell."""
        schemas = self.manifest.database.get("search_path", ()) if self.manifest else ()
        # PostgreSQL's own schema is the first one in any case.
        return ", ".join('"' + each.replace('"', '""') + '"' for each in schemas if each != "pg_catalog")

    def left_nothing(self) -> bool:
        """Return whether the database is as empty as it was."""
        with plain_reader(self._dsn) as (_, tables):
            return not tables

    def shut_out_others(self) -> None:
        """Keep others out of the database until its privileges are put back.

        :raises RestoreError: somebody is connected
        """
        from ..postgres.privileges import shut_out
        from ..postgres.session import connect

        with connect(self._dsn) as connection:
            others = shut_out(connection)
        if others:
            raise RestoreError(
                f"{', '.join(others)} connected to {self._dsn.database} while it was made",
                "stop what connects to new databases, then restore again",
            )

    def run(self, search_path: str = "") -> None:
        """Load the SQL.

        :raises NameNotFoundError: a name was not found, and the database is as it was
        :raises ArchiveError: there is none
        """
        from ..postgres.load import load_sql

        loaded = False
        with opened(self._archive) as reader:
            self.manifest = reader.manifest
            for member in reader:
                if loaded or not member.name.endswith(".sql"):
                    continue
                log.info("loading %s into %s", member.name, self._dsn.database)
                load_sql(
                    self._dsn, with_progress(member, self._progress), _prepared_schemas(reader.manifest), self._account,
                    search_path=search_path, one_transaction=bool(self.recorded_path) and self._fits(),
                )  # fmt: skip
                loaded = True
        if not loaded:
            raise ArchiveError("the archive holds no SQL", "restore from fixtures, or take another archive")

    def _fits(self) -> bool:
        from ..postgres.load import fits_one_transaction
        from ..postgres.session import connect

        assert self.manifest  # noqa: S101 - for the type checker: it tells the path
        with connect(self._dsn) as connection:
            objects = self.manifest.large_objects.get("count", 0)
            return fits_one_transaction(connection, len(self.manifest.tables), objects)


def _prepared_schemas(manifest: Manifest | None) -> set[str]:
    """Return the schemas that an administrator has made already, with the extensions that only a superuser may."""
    extensions = manifest.database.get("extensions", ()) if manifest else ()
    return {each["schema"] for each in extensions if not each["trusted"]}


def restore_fixtures(
    settings: Settings,
    archive: ArchiveFile,
    database: str,
    apps: Iterable[str] = (),
    *,
    accepted: Accepted = NOTHING,
    progress: Progress | None = None,
) -> Verification:
    """Given a new, empty database that belongs to the application's role, migrate it, load fixtures and prove them.

    :param apps: labels of the apps to load; empty for all that the archive holds
    :param accepted: what is loaded although it is not as the archive has it
    :raises VerificationError: what was loaded differs from the archive
    :raises BackupsError: anything else; the new database is then good for nothing but to be dropped
    """
    from .fixtures import into_new
    from .target import target_of

    check_user()
    clean_up(settings)
    live, _ = owner_dsn(settings)
    with target_of(settings, live.to(database).url()) as target:
        return into_new(target, archive, apps, accepted=accepted, progress=progress)
