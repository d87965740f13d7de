"""The application as an outside system: its environment, and commands that run in it."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..errors import ApplicationError, SettingsError
from ..system.accounts import Account, ourselves

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OURS = ("S3_", "BACKUPS_GPG_", "CHECKNINER_BACKUPS_")
"""The application's code has no business with the backups' secrets, wherever they come from."""
_SHELLS_OWN = ("_", "OLDPWD", "PWD", "PS1", "SHLVL")
_PATIENCE = 30
"""Seconds that `bin/activate` may take."""
_STDERR = 2


@dataclass(frozen=True)
class Code:
    """The application on this machine: a checkout and a virtualenv. Its environment is added to `bin/activate`'s."""

    path: Path
    virtualenv: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_activate(virtualenv: Path, account: Account | None = None, *, needs_database: bool = True) -> dict[str, str]:
    """Given the application's virtualenv, return the environment that its `bin/activate` makes.

    The script is sourced by a shell that has nothing of the caller's environment; nothing that it prints is kept. Its
    exit status says nothing: a last line like `[ -t 0 ] && ...` is no failure.

    :param account: who sources it, if not ourselves
    :param needs_database: whether it must set `DATABASE_URL`
    :raises ApplicationError: it is missing, ends the shell, takes too long, or sets no `DATABASE_URL`
    """
    script = virtualenv / "bin" / "activate"
    hint = "the virtualenv is a setting; its bin/activate exports the application's environment"
    if not os.access(script, os.R_OK):
        raise ApplicationError(f"cannot read {script}", hint)
    shells = (f"{folder}/bash" for folder in _PATH.split(":"))
    bash = next((shell for shell in shells if os.access(shell, os.X_OK)), None)
    shell = [bash, "--noprofile", "--norc"] if bash else ["/bin/sh"]
    source = '. "$1" >/dev/null 2>&1; exec /usr/bin/env -0'
    try:
        found = subprocess.run(
            [*shell, "-c", source, "activate", str(script)],
            env=bare_environment(account or ourselves()),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            **(account or ourselves()).options(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApplicationError(f"cannot source {script}: {type(error).__name__}", hint) from None
    if found.returncode:
        raise ApplicationError(f"{script} ended its shell with status {found.returncode}", hint)
    pairs = (entry.partition("=") for entry in os.fsdecode(found.stdout).split("\0") if entry)
    environment = without_ours({name: value for name, _, value in pairs})
    if needs_database and not environment.get("DATABASE_URL"):
        raise ApplicationError(f"{script} sets no DATABASE_URL", "add a line: export DATABASE_URL=postgres://...")
    return environment


def without_ours(variables: Mapping[str, str]) -> dict[str, str]:
    """Given variables, return those that are the application's business."""
    return {
        name: value
        for name, value in variables.items()
        if name not in _SHELLS_OWN and not name.startswith((*_OURS, "BASH_FUNC_"))
    }


def bare_environment(account: Account) -> dict[str, str]:
    """Return what a login would have at least; the caller's own variables stay out."""
    user = pwd.getpwuid(account.user_id)
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "PATH": _PATH, "LANG": "C.UTF-8"}


def check_user() -> None:
    """Make sure that we do not run as somebody with more power than the application's owner.

    :raises SettingsError: we are root, or PostgreSQL's superuser
    """
    name = "root" if os.geteuid() == 0 else _user_name()
    if name in ("root", "postgres"):
        raise SettingsError(
            f"this runs the application's code, and must not do so as {name}",
            "run it as the application's owner: sudo -u OWNER ..., or become_user in a playbook",
        )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def run_command(
    argv: Sequence[str],
    application_path: Path,
    environment: Mapping[str, str],
    account: Account | None = None,
    *,
    said: IO[bytes] | int | None = _STDERR,
) -> int:
    """Given a command, run it in the application's folder and environment; return its exit status.

    It reads nothing.

    :param said: where all goes that it prints; None: where ours goes, which must not be asked for in an Ansible module:
        there the output is the module's own word
    :raises ApplicationError: it cannot be started
    """
    try:
        return subprocess.run(
            list(argv),
            cwd=application_path,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            check=False,
            **(account or ourselves()).options(),
        ).returncode
    except OSError as error:
        raise ApplicationError(
            f"cannot run {argv[0]} in {application_path}: {error.strerror}",
            "the application's path and the command's first word must exist",
        ) from None
