"""What `FixturesProcess` hands to the application's interpreter, and how its last words are made fit to be shown."""

from __future__ import annotations

import os
import pkgutil
import re
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..system.accounts import Account
from . import worker
from .worker import (
    bulk,
    channel,
    columns,
    connection_info,
    copyin,
    copyout,
    dump,
    eligibility,
    inexact,
    insert,
    isolation,
    jsonstream,
    load,
    lookups,
    main,
    members,
    plan,
    quiet,
    reasons,
    rebuild,
    references,
    serializing,
    shape,
    statement,
    tables,
    tokens,
    visit,
)
from .worker import registry as registry_side

# All are imported, though only their text is wanted: so Ansible sees that it must ship them.
_MODULES = (
    worker, bulk, channel, columns, connection_info, copyin, copyout, dump, eligibility, inexact, insert, isolation,
    jsonstream, load, lookups, main, members, plan, quiet, reasons, rebuild, references, registry_side, serializing,
    shape, statement, tables, tokens, visit,
)  # fmt: skip
_PACKAGE = "checkniner_worker"
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|DSN", re.IGNORECASE)


def scrubbed(text: str, environment: Mapping[str, str]) -> str:
    """Given text of the application and its environment, return it without the secrets of that environment."""
    secrets = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    for name, value in environment.items():
        if name.endswith("_URL") and "@" in value:
            secrets.add(value)
            with suppress(ValueError):
                password = urlsplit(value).password or ""
                secrets |= {password, unquote(password)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def write_program(folder: Path, account: Account) -> Path:
    """Given a folder and who runs it, write the program for the application's interpreter: a zip of `worker`.

    Its name is a new one: the folder may be that account's, and a name known before could be a link of theirs.

    :returns: the zip's path
    """
    descriptor, path = tempfile.mkstemp(prefix="checkniner-worker-", suffix=".zip", dir=folder)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as program:
        account.own_open(file)
        for module in _MODULES:
            name = "__init__" if module is worker else module.__name__.rpartition(".")[2]
            source = pkgutil.get_data(worker.__name__, f"{name}.py")
            program.writestr(f"{_PACKAGE}/{name}.py", source or b"")
        program.writestr("__main__.py", f"from {_PACKAGE}.main import main\nmain()\n")
    return Path(path)
