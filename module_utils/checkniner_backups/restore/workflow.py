"""A whole restore on the server, for the command line: the stages of stages.py, each a method of its name.

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
from ..system.stale_files import clean_up
from ..verify.database import NOT_PROVEN
from .databases import Databases
from .sql import restore_fixtures, restore_sql
from .stages import NOTHING, SQL, Accepted, plan_of

if TYPE_CHECKING:
    from ..backup.safety import Safety
    from ..django_app.process import FixturesProcess
    from ..postgres.dsn import Dsn
    from ..settings import Settings
    from ..verify.database import Verification
    from .stages import RestoreOptions, Stage

log = logging.getLogger(__name__)

_MAY = """
SELECT r.rolsuper, r.rolcreatedb, coalesce((SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE')
                                            FROM pg_catalog.pg_database d WHERE d.datname = %s), true)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""


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
    administration: Dsn | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Given an archive on this machine, bring its data back: run the stages of `plan_of(options)`, in their order.

    :param administration: the way to create and rename databases; None where rows of the live database are replaced
    :raises BackupsError: something failed; the live database is as it was, unless the message says that it was changed
    """
    plan = plan_of(options)
    check_user()
    os.umask(0o077)
    run = _Run(settings, archive, options, administration, progress)
    commands = _Commands(settings, run.environment, options)
    try:
        run.each(plan.prepare)
        if plan.stopped:
            with commands:
                run.each(plan.stopped)
        run.each(plan.finish)
    except BaseException:
        run.give_up()
        raise
    commands.check(run.changed)
    return run.restored()


class _Run:
    """One restore: each stage is the method of its name."""

    def __init__(
        self,
        settings: Settings,
        archive: ArchiveFile,
        options: RestoreOptions,
        administration: Dsn | None,
        progress: Progress | None,
    ) -> None:
        inspection = inspect(archive)
        check_application(settings, inspection)
        self.live, self.environment = owner_dsn(settings)
        self.changed = ""
        """What was done to the live database, in words; empty before."""
        self._settings, self._archive, self._options, self._progress = settings, archive, options, progress
        self._metadata = inspection.database
        self._administration = administration
        self._new = ""
        self._verification = NOT_PROVEN
        self._previous, self._outage = "", 0.0
        self._saved: tuple[str, ...] = ()

    @property
    def _databases(self) -> Databases:
        assert self._administration  # noqa: S101 - for the type checker: only a restore into the live one has none
        return Databases(self._administration, self.live.database, self.live.user)

    def each(self, stages: Sequence[Stage]) -> None:
        """Given stages, run them one after the other."""
        for stage in stages:
            log.info("restore: %s", stage.value)
            getattr(self, stage.value)()

    def create(self) -> None:
        self._new = self._databases.create(
            self.live.user, self._metadata, self._options.allowed_extensions, self._options.target,
            kind=self._options.kind, skip_settings=self._options.skip_settings,
        ).database  # fmt: skip

    def load(self) -> None:
        options = self._options
        if options.kind == SQL:
            self._verification = restore_sql(
                self._settings, self._archive, self._new, skip_settings=options.skip_settings, progress=self._progress
            )
        else:
            self._verification = restore_fixtures(
                self._settings, self._archive, self._new, options.apps,
                accepted=options.accepted, progress=self._progress,
            )  # fmt: skip

    def settle(self) -> None:
        self._databases.settle(self._new, self.live.user, self._metadata)

    def save(self) -> None:
        self._remember(safety.save_before(self._settings))

    def swap(self) -> None:
        done = self._databases.swap(self._new, self._metadata, application=self.live)
        self._previous, self._outage = done.previous, done.outage
        self.changed = f"{self.live.database} is live, what it was before is {done.previous or 'gone'}"
        log.info("%s is live; the database before it is kept as %s", self._new, done.previous or "none")

    def save_between(self) -> None:
        if self._saved and self._previous:
            self._remember(safety.save_between(self._settings, self._previous))

    def replace(self) -> None:
        self._verification = replace_apps(
            self._settings, self._archive, self._options.apps, compare=bool(self._saved),
            accepted=self._options.accepted, progress=self._progress,
        )  # fmt: skip
        apps = ", ".join(self._options.apps) or "all apps"
        self.changed = f"the rows of {apps} in {self.live.database} were replaced"

    def drop_previous(self) -> None:
        self._databases.drop("", self._options.drop_older_than)

    def give_up(self) -> None:
        """Drop the new database, unless it has become the live one."""
        if not self._new or self.changed or not self._administration:
            return
        try:
            with administer(self._administration) as connection:
                admin.drop_database(connection, self._new)
        except DatabaseError as error:
            log.warning("%s stays: %s; the next restore drops it", self._new, error.message)

    def restored(self) -> Restored:
        """Return what was done."""
        return Restored(
            self._verification.summary,
            self._verification.proven,
            self._options.target or self.live.database,
            self._previous,
            self._outage,
            self._saved,
        )

    def _remember(self, done: Safety) -> None:
        log.info("%s%s", done.reason, f": {done.key}" if done.key else "")
        self._saved += (done.key,) if done.key else ()


def replace_apps(
    settings: Settings,
    archive: ArchiveFile,
    apps: tuple[str, ...],
    *,
    compare: bool,
    accepted: Accepted = NOTHING,
    progress: Progress | None = None,
) -> Verification:
    """Given an archive, replace the rows of some apps in the live database, in one transaction.

    :param apps: their labels; empty for all that the archive holds
    :param compare: whether there is a safety backup to compare with, once nobody can write any more
    :param accepted: what is loaded although it is not as the archive has it
    :raises RestoreError: somebody wrote since the safety backup; everything is as it was
    """
    from .fixtures import into_live
    from .target import target_of

    check_user()
    clean_up(settings)

    def locked(process: FixturesProcess) -> None:
        if compare:
            safety.check_unchanged(settings, process.registry.tables(apps or tuple(process.registry.apps)))

    with target_of(settings) as target:
        return into_live(target, archive, apps, locked, accepted=accepted, progress=progress)


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
