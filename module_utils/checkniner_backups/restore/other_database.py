"""Fixtures into a database that is not the application's own: a development copy, another server, another engine.

By the application's code on the server, as its owner; or by a checkout of it on the operator's own machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..archive.file import ArchiveFile, check_application, check_name, inspect
from ..django_app.environment import check_user
from ..django_app.sources import code_environment
from ..errors import DiskError
from ..system.accounts import unprivileged
from ..system.files import short_folder
from ..system.stale_files import clean_up, locked
from .fixtures import into_new
from .stages import NOTHING, Accepted
from .target import Target, target_of

if TYPE_CHECKING:
    from ..django_app.environment import Code
    from ..settings import Settings
    from ..verify.database import Verification


def from_server(
    settings: Settings, archive: ArchiveFile, url: str, apps: Sequence[str] = (), *, accepted: Accepted = NOTHING
) -> Verification:
    """Given the settings of a server and the URL of a new, empty database, load fixtures into it and prove them.

    What fails leaves no table there, so that it can be tried again.

    :raises RestoreError: there are tables already, or other migrations than the archive's
    :raises VerificationError: what was loaded differs from the archive
    """
    check_user()
    clean_up(settings)
    check_application(settings, inspect(archive))
    with target_of(settings, url) as target:
        return into_new(target, archive, apps, accepted=accepted, clear=True)


def from_checkout(
    name: str, code: Code, archive: ArchiveFile, url: str, apps: Sequence[str] = (), *, accepted: Accepted = NOTHING
) -> Verification:
    """Given a checkout of the application on this machine, do the same as `from_server`.

    :param name: the application whose archive it must be
    """
    check_name(name, inspect(archive))
    with _pointed(code, url) as target:
        return into_new(target, archive, apps, accepted=accepted, clear=True)


@contextmanager
def _pointed(code: Code, url: str) -> Iterator[Target]:
    account = unprivileged(code.path)
    # What stands above a temporary folder of root's own may be closed to the account.
    parent = short_folder() if account.is_us else "/tmp"  # noqa: S108 - what is made there is private
    environment = {**code_environment(code, account), "DATABASE_URL": url}
    try:
        made = tempfile.TemporaryDirectory(prefix="cb-", dir=parent)
    except OSError as error:
        raise DiskError.at(parent, error) from None
    with made as folder, locked(Path(folder)):
        account.own(Path(folder))
        yield Target(code.virtualenv / "bin" / "python", code.path, environment, Path(folder), account)
