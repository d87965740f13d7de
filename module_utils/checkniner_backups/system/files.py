"""Files and folders of this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Given the path that is being written, turn the system's errors inside into ours.

    :raises DiskError: the disk is full or cannot be written
    """
    try:
        yield
    except OSError as error:
        raise DiskError.at(path, error) from None


def new_file(path: Path) -> BinaryIO:
    """Given a path, return a new file for writing that only its owner can read; an old one of that name is removed.

    It is locked while it is open: who tidies up can tell it from one that a killed run has left.

    :raises OSError: as `open` does
    """
    path.unlink(missing_ok=True)  # it may be another's, or have a wider mode
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(path, flags, 0o600), "wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file, 0600, that has its name once the block has ended: whole and on the disk, or not at all.

    :raises DiskError: the disk is full or cannot be written
    """
    part = path.with_name(path.name + ".part")
    try:
        with disk_errors(path):
            with new_file(part) as file:
                yield file
                _put(file, part, path)
            _sync_folder(path.parent)
    except BaseException:  # also a signal that ends the run
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def write_durably(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 by way of a temporary one beside it, whose name nobody else takes.

    :raises DiskError: the disk is full or cannot be written
    """
    import tempfile

    temporary = None
    try:
        with disk_errors(path):
            descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            temporary = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)  # while it is written, no sweep takes it for a dead run's
                file.write(content)
                _put(file, temporary, path)
            _sync_folder(path.parent)
    except BaseException:  # also a signal that ends the run
        if temporary:
            temporary.unlink(missing_ok=True)
        raise


def _put(file: BinaryIO, part: Path, path: Path) -> None:
    """Bring the file to the disk, and give it its name while it is locked."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(part, path)  # noqa: PTH105 - a step of ours, at which tests of faults kill us


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
