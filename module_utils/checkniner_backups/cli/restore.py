"""The command `restore`: what it may be told, and what it shows."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ..errors import SettingsError
from ..settings import PREFIX, Settings
from .terminal import Progress, as_json

if TYPE_CHECKING:
    from ..archive.file import ArchiveFile, Inspection
    from ..restore.stages import RestoreOptions

ADMIN_URL = PREFIX + "ADMIN_DATABASE_URL"
EPILOG = f"""\
The archive is fetched with the credentials of the environment file. Those of a server may often put and list only:
then fetch it elsewhere, and give --file. It is decrypted with the session key that --session-key-fd yields (on the
machine that holds the private key: gpg --show-session-key), or else with the keyring of whoever runs this. It must
be signed by this server, or --other-server or --unsigned be said.

Databases are created and renamed by the role in DATABASE_URL, if it may create databases and owns the live one, or by
the role in {ADMIN_URL}.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Given the parser of this command, add what it may be told besides --archive and --at."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--source", required=True, choices=["sql", "fixtures"], help="sql: an exact copy; fixtures: by Django's objects"
    )
    parser.add_argument("--apps", default="", metavar="A,B", help="with fixtures: load these apps (default: all)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--target", default="", metavar="NAME", help="a new database beside the live one; no swap")
    where.add_argument("--live", action="store_true", help="with fixtures: into the live database, as one transaction")
    parser.add_argument("--session-key-fd", type=int, metavar="N", help="read the archive's session key from there")
    parser.add_argument(
        "--admin-url-fd", type=int, metavar="N", help="read the administrator's database URL from there"
    )
    parser.add_argument("--before", action="append", default=[], metavar="COMMAND", help="run it before the swap")
    parser.add_argument("--after", action="append", default=[], metavar="COMMAND", help="run it after the swap")
    parser.add_argument(
        "--allow-extension", action="append", default=[], metavar="NAME", help="create it, though only a superuser may"
    )
    parser.add_argument("--skip-safety-backup", action="store_true", help="do not save what is replaced")
    parser.add_argument("--skip-settings", action="store_true", help="leave out what ALTER DATABASE ... SET had made")
    parser.add_argument("--other-migrations", action="store_true", help="load fixtures of another schema")
    parser.add_argument("--other-rows", action="store_true", help="load though it refers to rows that are others here")
    parser.add_argument("--other-server", action="store_true", help="take an archive that another server has signed")
    parser.add_argument("--unsigned", action="store_true", help="take an archive that is not signed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="write JSON to standard output")


def restore(settings: Settings, arguments: argparse.Namespace) -> None:
    """Bring data back, from an archive in the store or a file."""
    from ..django_app.sources import owner_dsn
    from ..restore import workflow
    from ..restore.report import Report
    from ..restore.stages import plan_of

    options = _options(arguments)
    plan = plan_of(options)
    admin_url = _secret(arguments.admin_url_fd, "administrator's database URL") or os.environ.get(ADMIN_URL, "")
    administration = None if options.into_live else workflow.administrator(settings, admin_url)
    if not options.target:
        _ask(owner_dsn(settings)[0].database, options, arguments)
    began = time.monotonic()
    with _archive(settings, arguments) as (archive, name, data_of):
        progress = Progress(f"loading {archive.path.name}")
        try:
            done = workflow.restore(settings, archive, options, administration, progress)
        finally:
            progress.end()
    if arguments.json:
        sys.stdout.write(as_json(done) + "\n")
        return
    report = Report(
        name, done.summary, plan.way, data_of, done.database, done.outage, done.previous,
        safety=done.safety, seconds=time.monotonic() - began,
    )  # fmt: skip
    sys.stdout.write("\n".join([*report.lines(datetime.now(timezone.utc)), ""]))


def _options(arguments: argparse.Namespace) -> RestoreOptions:
    from ..restore.stages import Accepted, RestoreOptions

    return RestoreOptions(
        kind=arguments.source,
        apps=tuple(arguments.apps.replace(",", " ").split()),
        target=arguments.target,
        into_live=arguments.live,
        before=tuple(tuple(shlex.split(command)) for command in arguments.before),
        after=tuple(tuple(shlex.split(command)) for command in arguments.after),
        allowed_extensions=tuple(arguments.allow_extension),
        skip_safety_backup=arguments.skip_safety_backup,
        skip_settings=arguments.skip_settings,
        accepted=Accepted(arguments.other_migrations, arguments.other_rows),
    )


@contextmanager
def _archive(settings: Settings, arguments: argparse.Namespace) -> Iterator[tuple[ArchiveFile, str, datetime | None]]:
    """Yield the archive on this machine, its key or path, and the time of its data (UTC), if this server made it.

    An archive that was fetched for this is removed.
    """
    from ..archive.file import ArchiveFile, inspect
    from ..archive.origin import own_trust
    from ..state.folder import scratch_folder
    from ..storage.choice import choose
    from ..storage.s3 import Store

    key = _secret(arguments.session_key_fd, "session key")
    trust = own_trust(
        settings.state_path, settings.name, other_server=arguments.other_server, unsigned=arguments.unsigned
    )
    if arguments.file:
        archive = ArchiveFile(arguments.file, key)
        yield archive, str(arguments.file), _time(inspect(archive, trust=trust))
        return
    store = Store(settings.store)
    found = choose(store, arguments.archive or "", arguments.at or "")
    with scratch_folder(settings.state_path) as folder:
        progress = Progress(f"fetching {found.key}", found.size)
        store.download(found.key, folder / found.name, progress)
        progress.end()
        archive = ArchiveFile(folder / found.name, key)
        yield archive, found.key, _time(inspect(archive, trust=trust, key=found.key))


def _time(inspection: Inspection) -> datetime | None:
    return inspection.manifest.created if inspection.manifest else None


def _secret(descriptor: int | None, what: str) -> str:
    """Given a file descriptor that somebody handed over, return what is in it."""
    if descriptor is None:
        return ""
    try:
        with os.fdopen(descriptor) as file:
            text = file.read().strip()
    except OSError as error:
        raise SettingsError(f"cannot read the {what} from descriptor {descriptor}: {error.strerror}") from None
    if not text:
        raise SettingsError(f"descriptor {descriptor} holds no {what}")
    return text


def _ask(database: str, options: RestoreOptions, arguments: argparse.Namespace) -> None:
    if arguments.yes:
        return
    what = f"the rows of {', '.join(options.apps) or 'all apps'} in" if options.into_live else "the whole of"
    if not sys.stdin.isatty():
        raise SettingsError(f"this would replace {what} the database {database}", "say --yes if that is meant")
    sys.stderr.write(f"This replaces {what} the database {database}. Type its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != database:
        raise SettingsError("nothing was changed: that is not its name")
