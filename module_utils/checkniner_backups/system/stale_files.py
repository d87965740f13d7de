"""What a killed run leaves behind, and how the next one knows that nobody needs it any more.

Who works in a temporary folder holds a lock on the folder itself; the kernel lets go of it however that process ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..settings import Settings

log = logging.getLogger(__name__)

_JUST_MADE = 60.0
"""Seconds: between making a folder and locking it, it looks abandoned."""
_LONG = 3600.0
"""Seconds since the last change of what nobody locks while it is written."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Given a folder of ours, hold it: `sweep` leaves it alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def sweep(base: Path, pattern: str, *, owners: Collection[int] = (), just_made: float = _JUST_MADE) -> list[Path]:
    """Given a folder and a pattern of names, remove the folders and files in it that are ours and that nobody holds.

    :param owners: ids of users whose things are ours too
    :param just_made: seconds; what is younger stays
    :returns: what was removed
    """
    removed = []
    for path in sorted(base.glob(pattern)):
        with suppress(OSError):
            found = path.lstat()
            if (
                found.st_uid not in (os.geteuid(), *owners)
                or time.time() - found.st_mtime < just_made
                or path.is_symlink()
            ):
                continue
            if not _is_free(path):
                continue
            if path.is_dir():
                import shutil

                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
            log.info("removed %s, which a killed run had left", path)
            removed.append(path)
    return removed


def clean_up(settings: Settings) -> None:
    """Given the settings, remove what a restore or a backup left that was killed. Nothing of it is plaintext.

    The database that a killed restore left is dropped by the next one, before it makes its own.
    """
    from ..settings import SAFETY
    from .files import short_folder

    sweep(settings.state_path, ".scratch-*")
    for folder in (settings.archives_path, settings.archives_path / SAFETY):
        sweep(folder, "*.part", just_made=_LONG)
    sweep(Path(short_folder()), "cb-*", just_made=_LONG)


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
