"""Files and folders of this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DiskError


def short_folder() -> str:
    """Return the folder for temporary GNUPGHOMEs: the system's temporary one, where its path is short enough."""
    import tempfile

    folder = tempfile.gettempdir()
    return folder if len(folder) <= 40 else "/tmp"  # noqa: S108 - what is made there is private


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Given a folder, keep out everybody else who asks for this: for a moment, while a file in the folder is replaced.

    :raises DiskError: the folder cannot be opened
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DiskError.at(folder, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 by way of a temporary one beside it.

    :raises DiskError: the disk is full or cannot be written
    """
    import tempfile

    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # while it is written, no sweep takes it for a dead run's
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - Path.replace with a str source reads no better
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        _remove(temporary)
        raise DiskError(
            f"cannot write {path}: {error.strerror}", "look at the disk and at the folder's owner"
        ) from None
    except BaseException:  # a signal that ends the run
        _remove(temporary)
        raise


def _remove(path: str) -> None:
    if path:
        Path(path).unlink(missing_ok=True)
