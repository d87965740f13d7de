"""Where the application's environment comes from: `bin/activate`, a file such as `.env`, or a systemd unit.

cron has none of it, and the web server gets it in one of these ways. What names Django's settings, and stands nowhere
else, is taken from `manage.py`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ApplicationError
from ..postgres.dsn import Dsn, as_django_reads, parse_url
from ..postgres.options import check_one_server
from ..settings import ACTIVATE, UNIT
from ..system.accounts import Account, ourselves
from ..system.processes import answer
from .environment import Code, bare_environment, read_activate, without_ours

if TYPE_CHECKING:
    from ..settings import Settings

_SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
_NAMED = re.compile(rf"""setdefault\(\s*["']{_SETTINGS_MODULE}["']\s*,\s*["']([\w.]+)["']""")
_PATIENCE = 30
"""Seconds that systemd may take."""
_HINT = "checkniner_backups_environment_source says where the application's environment comes from"


def application_environment(settings: Settings) -> dict[str, str]:
    """Given the settings, return the environment that the application's processes get.

    :raises ApplicationError: its source cannot be read, or names no database
    """
    source = settings.environment_source
    if source == ACTIVATE:
        found = read_activate(settings.virtualenv)
    else:
        own = unit_variables(source.removeprefix(UNIT)) if source.startswith(UNIT) else file_variables(Path(source))
        found = bare_environment(ourselves())
        found["PATH"] = f"{settings.virtualenv / 'bin'}:{found['PATH']}"
        found |= {"VIRTUAL_ENV": str(settings.virtualenv), **without_ours(own)}
        if not found.get("DATABASE_URL"):
            raise ApplicationError(f"{source} sets no DATABASE_URL", "add a line: DATABASE_URL=postgres://...")
    return _with_settings_module(found, settings.application_path)


def code_environment(code: Code, account: Account | None = None) -> dict[str, str]:
    """Given a checkout of the application, return the environment of its processes; it need not name a database.

    :param account: who runs them, if not ourselves
    :raises ApplicationError: `bin/activate` cannot be used
    """
    found = read_activate(code.virtualenv, account, needs_database=False)
    return _with_settings_module({**found, **code.environment}, code.path)


def _with_settings_module(environment: dict[str, str], application_path: Path) -> dict[str, str]:
    if not environment.get(_SETTINGS_MODULE) and (module := settings_module(application_path)):
        environment[_SETTINGS_MODULE] = module
    return environment


def application_dsn(settings: Settings) -> tuple[Dsn, dict[str, str]]:
    """Given the settings, return the database to read, and the environment of the application's interpreter.

    :raises ApplicationError: its source cannot be read, or names no database
    :raises SettingsError: the database's URL cannot be used for a backup
    """
    environment = application_environment(settings)
    if settings.database_url:
        environment["DATABASE_URL"] = as_django_reads(settings.database_url)
    dsn = _dsn(environment)
    check_one_server(dsn.host, dsn.options)
    return dsn, environment


def owner_dsn(settings: Settings) -> tuple[Dsn, dict[str, str]]:
    """Given the settings, return the application's own way to its database, and the application's environment.

    :raises ApplicationError: its source cannot be read, or names no database
    """
    environment = application_environment(settings)
    return _dsn(environment), environment


def _dsn(environment: Mapping[str, str]) -> Dsn:
    """Return where the application's own connection leads: what its URL leaves open, libpq's variables tell it."""
    return parse_url(environment["DATABASE_URL"]).completed(environment)


def settings_module(application_path: Path) -> str:
    """Given the application's folder, return the settings module that its `manage.py` names; empty if it names none."""
    try:
        text = (application_path / "manage.py").read_text(errors="replace")
    except OSError:
        return ""
    named = _NAMED.search(text)
    return named[1] if named else ""


def file_variables(path: Path, *, interpolate: bool = True) -> dict[str, str]:
    """Given a file of `NAME=value` lines, return the variables; nothing in it is executed.

    :param interpolate: whether `${NAME}` stands for another variable, as in a `.env` file
    :raises ApplicationError: it cannot be read
    """
    from dotenv import dotenv_values

    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            found = dotenv_values(stream=file, interpolate=interpolate)
    except OSError as error:
        raise ApplicationError(f"cannot read {path}: {error.strerror}", f"its owner must be able to; {_HINT}") from None
    return {name: value for name, value in found.items() if value is not None}


def unit_variables(unit: str) -> dict[str, str]:
    """Given a systemd unit's name, return the variables that it sets (`Environment=`, `EnvironmentFile=`).

    :raises ApplicationError: there is no such unit, or a file of it cannot be read
    """
    properties = [f"--property={name}" for name in ("LoadState", "Environment", "EnvironmentFiles")]
    try:
        done = answer(["systemctl", "show", *properties, "--", unit], seconds=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApplicationError(f"cannot ask systemd for {unit}: {type(error).__name__}", _HINT) from None
    if done.returncode or "LoadState=loaded" not in done.stdout.splitlines():
        raise ApplicationError(f"systemd knows no unit {unit}", _HINT)
    return parse_unit(done.stdout)


def parse_unit(shown: str) -> dict[str, str]:
    """Given what `systemctl show` prints of a unit, return its variables; those of its files count more.

    :raises ApplicationError: a file that must be there cannot be read
    """
    found: dict[str, str] = {}
    files: list[tuple[Path, bool]] = []
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        if name == "Environment":
            found |= dict(word.split("=", 1) for word in shlex.split(value) if "=" in word)
        elif name == "EnvironmentFiles":
            path, _, rest = value.rpartition(" (")
            files.append((Path(path), rest == "ignore_errors=yes)"))
    for file, optional in files:
        if optional and not file.exists():
            continue
        found |= file_variables(file, interpolate=False)
    return found
