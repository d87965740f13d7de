"""The application's code, pointed at a database: what migrates and loads a database that fixtures are restored into.

The application is pointed at it by `DATABASE_URL`. Whether it went there is looked at before anything is written:
settings that do not follow the variable would empty a database that nobody meant.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..django_app.environment import run_command
from ..django_app.process import FixturesProcess
from ..django_app.program import scrubbed, write_program
from ..django_app.sources import application_environment
from ..django_app.worker.isolation import REHEARSAL
from ..errors import ApplicationError, RestoreError
from ..postgres.dsn import is_postgres, parse_url
from ..state.folder import scratch_folder
from ..system.accounts import Account, ourselves

if TYPE_CHECKING:
    from ..django_app.registry import ConnectionInfo
    from ..settings import Settings

_WORDS = 8192
"""Bytes of what a command printed that are kept."""
_APPLYING = re.compile(r" *Applying ([\w.]+)\.\.\.")
_ERROR = re.compile(r"[\w.]*(Error|Exception|DoesNotExist|Exit)\b(: |$)")


@dataclass(frozen=True)
class Target:
    """The application's code, pointed at a database by `DATABASE_URL` in its environment.

    :param work_path: a folder for a file of ours, 0700
    :param account: who runs it, if not ourselves
    :param isolated: a rehearsal: its code reaches none of its other services, as far as its settings decide that
    """

    python: Path
    application_path: Path
    environment: Mapping[str, str] = field(repr=False)
    work_path: Path
    account: Account | None = None
    isolated: bool = False

    @contextmanager
    def started(self) -> Iterator[FixturesProcess]:
        """Yield the application's interpreter, connected to the database that is meant, and to no other.

        :raises ApplicationError: its settings lead elsewhere
        """
        with FixturesProcess.start(
            self.python, self.application_path, self._environment(), self.work_path, self.account
        ) as process:
            _check_connection(process.connection_info(), self.environment["DATABASE_URL"])
            yield process

    def migrate(self) -> None:
        """Make the application's tables, or bring them up to date.

        :raises RestoreError: that failed
        """
        program = write_program(self.work_path, self.account or ourselves())
        argv = [str(self.python), str(program), "migrate", "--noinput", "--verbosity", "1"]
        try:
            with tempfile.TemporaryFile(dir=self.work_path) as said:
                status = run_command(argv, self.application_path, self._environment(), self.account, said=said)
                words = self._last_words(said)
        finally:
            program.unlink(missing_ok=True)
        if status:
            raise RestoreError(
                f"migrate ended with status {status}: {_cause(words)}",
                "the application's own migrations must run on an empty database with its role alone; what an"
                " administrator made by hand there (an extension, a schema, a table) they cannot know: restore from"
                " SQL (source=sql), or let a migration make it",
            )

    def _environment(self) -> Mapping[str, str]:
        return {**self.environment, REHEARSAL: "1"} if self.isolated else self.environment

    def _last_words(self, said: IO[bytes]) -> list[str]:
        """Given what a command printed, return the end of it as lines, without secrets."""
        said.seek(max(0, said.seek(0, os.SEEK_END) - _WORDS))
        text = scrubbed(said.read().decode(errors="replace"), self.environment)
        return [line.rstrip() for line in text.splitlines() if line.strip()]


def _cause(lines: Sequence[str]) -> str:
    """Given what `migrate` printed, return the migration at which it stopped, and the error."""
    begun = [match[1] for line in lines if (match := _APPLYING.match(line)) and not line.endswith("OK")]
    errors = [line.strip() for line in lines if _ERROR.match(line)]
    error = errors[-1] if errors else lines[-1] if lines else "it said nothing"
    return f"{begun[-1]}: {error}" if begun else error


@contextmanager
def target_of(settings: Settings, url: str = "") -> Iterator[Target]:
    """Given the settings and a database's URL (empty: the live one's), yield the application pointed at it."""
    environment = application_environment(settings)
    if url:
        environment["DATABASE_URL"] = url
    with scratch_folder(settings.state_path) as folder:
        yield Target(settings.virtualenv / "bin" / "python", settings.application_path, environment, folder)


def _check_connection(connected: ConnectionInfo, url: str) -> None:
    import dj_database_url

    if "://" in url and is_postgres(url):
        dsn = parse_url(url)
        name, host = dsn.database, dsn.host
    else:
        wanted = dj_database_url.parse(url)
        name, host = str(wanted.get("NAME") or ""), str(wanted.get("HOST") or "")
    if connected.name != name or (connected.host and host and connected.host != host):
        raise ApplicationError(
            f"the application was sent to the database {name!r}, but its settings lead to {connected.name!r}",
            "its settings must take the database from DATABASE_URL; nothing was written",
        )
