"""A whole restore on the server, for the command line: `restore` and `restore_apps` read top to bottom as its stages.

The playbook runs the same stages one by one, each as the user who needs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..archive.file import ArchiveFile, Progress, check_application, inspect
from ..backup import safety
from ..django_app.environment import check_user, run_command
from ..django_app.sources import owner_dsn
from ..errors import ApplicationError, DatabaseError, SettingsError
from ..postgres import admin
from ..postgres.session import administer, fetch_all
from ..system import stale_files
from .databases import Databases
from .sql import restore_fixtures, restore_sql

if TYPE_CHECKING:
    from ..django_app.process import FixturesProcess
    from ..postgres.dsn import Dsn
    from ..settings import Settings
    from ..verify.database import Verification

log = logging.getLogger(__name__)

_MAY = """
SELECT r.rolsuper, r.rolcreatedb, coalesce((SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE')
                                            FROM pg_catalog.pg_database d WHERE d.datname = %s), true)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True)
class RestoreOptions:
    """What is asked for.

    :param kind: `sql` or `fixtures`
    :param apps: with fixtures, the apps to load; empty for all
    :param target: restore beside the live database, under this name; empty: take its place
    :param before: commands that run in the application's environment before the live database is changed
    :param after: and afterwards, also where the restore failed
    :param other_migrations: load fixtures although the application's migrations are not the archive's
    """

    kind: str
    apps: tuple[str, ...] = ()
    target: str = ""
    before: tuple[tuple[str, ...], ...] = ()
    after: tuple[tuple[str, ...], ...] = ()
    allowed_extensions: tuple[str, ...] = ()
    skip_safety_backup: bool = False
    skip_settings: bool = False
    other_migrations: bool = False


@dataclass(frozen=True)
class Restored:
    """What was done.

    :param summary: what was proven
    :param database: where the restored data are now
    :param previous: what the replaced database is called now; empty where none was replaced
    :param outage: seconds during which nobody could connect
    :param safety: keys of the archives that hold what was replaced
    """

    summary: str
    proven: bool
    database: str
    previous: str = ""
    outage: float = 0.0
    safety: tuple[str, ...] = ()


def administrator(settings: Settings, admin_url: str = "") -> Dsn:
    """Given the settings and perhaps an administrator's URL, return the way to create and rename databases.

    Without a URL the application's own role is taken, if it may.

    :raises SettingsError: it may not
    """
    live, _ = owner_dsn(settings)
    if admin_url:
        return admin.admin_dsn(live, admin_url)
    maintenance = live.to("postgres")
    with administer(maintenance) as connection:
        superuser, create, owns = fetch_all(connection, _MAY, live.database)[0]
    if superuser or (create and owns):
        return maintenance
    lacks = "may not create databases" if not create else f"does not own the database {live.database}"
    raise SettingsError(
        f"the role {live.user} {lacks}",
        "set CHECKNINER_BACKUPS_ADMIN_DATABASE_URL (or --admin-url-fd) to the URL of a role that may, its database"
        " postgres; or restore with the playbook restore.yml",
    )


def restore(
    settings: Settings,
    archive: ArchiveFile,
    options: RestoreOptions,
    administration: Dsn,
    progress: Progress | None = None,
) -> Restored:
    """Given an archive on this machine, bring its data back: load beside the live database, prove, swap.

    :raises BackupsError: something failed; the live database is as it was, unless the message says that it was swapped
    """
    check_user()
    os.umask(0o077)
    inspection = inspect(archive)
    check_application(settings, inspection)
    live, environment = owner_dsn(settings)
    databases = Databases(administration, live.database, live.user)
    created = databases.create(
        live.user, inspection.database, options.allowed_extensions, options.target,
        kind=options.kind, skip_settings=options.skip_settings,
    ).database  # fmt: skip
    try:
        if options.kind == "sql":
            verification = restore_sql(
                settings, archive, created, skip_settings=options.skip_settings, progress=progress
            )
        else:
            verification = restore_fixtures(
                settings, archive, created, options.apps, other_migrations=options.other_migrations, progress=progress
            )
        if options.target:
            databases.settle(created, live.user, inspection.database)
            return Restored(verification.summary, verification.proven, created)
        with _Commands(settings, environment, options) as commands:
            saved = _saved(settings, options)
            swapped = databases.swap(created, inspection.database, application=live)
            log.info("%s is live; the database before it is kept as %s", created, swapped.previous or "none")
    except BaseException:
        _drop(administration, created, live.database)
        raise
    if saved and swapped.previous:
        between = safety.save_between(settings, swapped.previous)
        log.info("%s", between.reason)
        saved += (between.key,) if between.key else ()
    commands.check(f"{live.database} is live, what it was before is {swapped.previous or 'gone'}")
    return Restored(verification.summary, verification.proven, live.database, swapped.previous, swapped.outage, saved)


def restore_apps(
    settings: Settings, archive: ArchiveFile, options: RestoreOptions, progress: Progress | None = None
) -> Restored:
    """Given an archive on this machine, replace the rows of some apps in the live database, in one transaction.

    :raises RestoreError: somebody wrote since the safety backup; everything is as it was
    :raises BackupsError: something failed; everything is as it was, unless the message says that the data are restored
    """
    check_user()
    os.umask(0o077)
    if options.kind != "fixtures":
        raise SettingsError(
            "SQL cannot be restored into the live database", "restore it in its place, or take source=fixtures"
        )
    stale_files.clean_up(settings)
    check_application(settings, inspect(archive))
    live, environment = owner_dsn(settings)

    with _Commands(settings, environment, options) as commands:
        saved = _saved(settings, options)
        verification = replace_apps(settings, archive, options, compare=bool(saved), progress=progress)
    commands.check(f"the rows of {', '.join(options.apps) or 'all apps'} in {live.database} were replaced")
    return Restored(verification.summary, verification.proven, live.database, safety=saved)


def replace_apps(
    settings: Settings,
    archive: ArchiveFile,
    options: RestoreOptions,
    *,
    compare: bool,
    progress: Progress | None = None,
) -> Verification:
    """Given an archive, replace the rows of some apps in the live database, in one transaction; see `restore_apps`.

    :param compare: whether there is a safety backup to compare with, once nobody can write any more
    """
    from .fixtures import into_live
    from .target import target_of

    check_user()

    def locked(process: FixturesProcess) -> None:
        if compare:
            safety.check_unchanged(settings, process.registry.tables(options.apps or tuple(process.registry.apps)))

    with target_of(settings) as target:
        return into_live(
            target, archive, options.apps, locked, other_migrations=options.other_migrations, progress=progress
        )


def _saved(settings: Settings, options: RestoreOptions) -> tuple[str, ...]:
    if options.skip_safety_backup:
        return ()
    done = safety.save_before(settings)
    log.info("%s%s", done.reason, f": {done.key}" if done.key else "")
    return (done.key,) if done.key else ()


class _Commands:
    """Runs the commands before, and in any case those after: the application must run again, whatever is live then.

    What goes wrong first is raised. Where nothing else did, what a command after says waits for `check`: what was done
    by then is to be told with it.
    """

    def __init__(self, settings: Settings, environment: dict[str, str], options: RestoreOptions) -> None:
        self._settings = settings
        self._environment = environment
        self._options = options
        self._failed: ApplicationError | None = None

    def __enter__(self) -> _Commands:
        try:
            self._run(self._options.before)
        except BaseException:
            self._after()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._after()

    def _after(self) -> None:
        try:
            self._run(self._options.after)
        except ApplicationError as error:
            log.error("afterwards %s", error.message)
            self._failed = error

    def check(self, done: str) -> None:
        """Given what was done, in words, tell it if a command failed afterwards.

        :raises ApplicationError: one did
        """
        if self._failed:
            raise ApplicationError(
                f"the data are restored: {done}; but afterwards {self._failed.message}",
                "do by hand what that command should have done",
            )

    def _run(self, commands: Sequence[Sequence[str]]) -> None:
        for argv in commands:
            log.info("running %s", argv[0])
            status = run_command(argv, self._settings.application_path, self._environment)
            if status:
                raise ApplicationError(f"{argv[0]} ended with status {status}", "its own words stand above")


def _drop(administration: Dsn, created: str, live: str) -> None:
    """Drop the new database, unless it has become the live one."""
    if created == live:
        return
    try:
        with administer(administration) as connection:
            admin.drop_database(connection, created)
    except DatabaseError as error:
        log.warning("%s stays: %s; the next restore drops it", created, error.message)
