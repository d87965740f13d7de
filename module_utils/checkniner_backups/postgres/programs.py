"""PostgreSQL's own client programs on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DatabaseError
from ..system.processes import answer

_BINARIES = Path("/usr/lib/postgresql")


def client_program(name: str, major: int = 0) -> Path:
    """Given the name of a client program, return the newest one installed, or that of a major version.

    Debian keeps one folder for each major version, and puts wrappers on PATH that cost a Perl start each.

    :raises DatabaseError: there is none
    """
    versions = _versions(name)
    if major:
        versions = {number: path for number, path in versions.items() if number == major}
    if versions:
        return versions[max(versions)]
    on_path = shutil.which(name)
    if not on_path or (major and program_major(Path(on_path)) != major):
        raise DatabaseError(f"{name} is not installed", "install PostgreSQL's client programs: postgresql-client")
    return Path(on_path)


def _versions(name: str) -> dict[int, Path]:
    """Return Debian's programs of that name by major version."""
    found = (path for path in _BINARIES.glob(f"*/bin/{name}") if os.access(path, os.X_OK))
    return {int(path.parts[-3]): path for path in found if path.parts[-3].isdigit()}


def start(command: Sequence[str | Path], *, env: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """Given the command line of a client program, its environment, and options of `subprocess.Popen`, start it.

    :raises DatabaseError: it cannot be started
    """
    try:
        return subprocess.Popen(command, env=env, **options)
    except OSError as error:
        raise DatabaseError(
            f"cannot start {command[0]}: {error.strerror}", "reinstall PostgreSQL's client programs: postgresql-client"
        ) from None


def program_major(program: Path) -> int:
    """Given a client program, return its major version."""
    found = answer([program, "--version"])
    match = re.search(r"(\d+)(?:\.\d+|\w+)", found.stdout)
    if not match:
        raise DatabaseError(f"{program} does not tell its version", "reinstall PostgreSQL's client programs")
    return int(match[1])


def dump_program(server_major: int) -> Path:
    """Given the server's major version, return the oldest `pg_dump` that can read it.

    A newer one writes what that server itself does not know: `SET transaction_timeout`, from 17 on.

    :raises DatabaseError: `pg_dump` is older than the server, which it would refuse half-way
    """
    versions = _versions("pg_dump")
    if fitting := [major for major in versions if major >= server_major]:
        return versions[min(fitting)]
    program = client_program("pg_dump")
    major = program_major(program)
    if major < server_major:
        raise DatabaseError(
            f"pg_dump {major} is older than the server, PostgreSQL {server_major}",
            f"install postgresql-client-{server_major}",
        )
    return program
