"""The engine in a virtualenv of its own, as the role installs it on a server, but in half a second."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import virtualenv
from .owner import Account

REQUIREMENTS = virtualenv.ROOT / "requirements" / "server.txt"
_SCRIPT = """#!{python} -I
from checkniner_backups.cli.launch import main

main()
"""


def install(path: Path, account: Account) -> Path:
    """Given a path, make a virtualenv there with the checkout's engine; return its `checkniner-backups` command."""
    virtualenv.make(path, REQUIREMENTS, account)
    (packages,) = path.glob("lib/python3*/site-packages")
    source = virtualenv.ROOT / "module_utils" / "checkniner_backups"
    shutil.copytree(source, packages / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    command = path / "bin" / "checkniner-backups"
    command.write_text(_SCRIPT.format(python=path / "bin" / "python"))
    command.chmod(0o755)
    account.own(packages / source.name)
    account.own(command)
    return command
