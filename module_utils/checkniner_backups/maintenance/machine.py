"""What a tick needs of the machine: free disk. And the versions of the programs that it uses."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import BackupsError
from ..postgres.programs import client_program
from ..settings import Settings
from ..system.processes import answer
from ..system.text import human_size
from .problems import DISK, Problem

_GROWTH = 1.25
"""So many times the size of the last archive the next one is expected to have at most."""
_SPARE = 4 << 20
"""Bytes that each folder needs besides: what is remembered, the log, the signature."""
_VERSION = re.compile(r"\d[\w.]*")


@dataclass(frozen=True)
class Disk:
    """A disk that holds folders of ours.

    :ivar folders: which: `work`, `archives`, `state`
    :ivar path: the first of them, or the nearest folder above it that is there
    :ivar free: bytes that the owner may still write
    :ivar needed: bytes that the next archive is expected to need there
    """

    folders: tuple[str, ...]
    path: str
    free: int
    needed: int

    def problem(self) -> Problem | None:
        """Return what is wrong, None where the next archive fits."""
        if self.free >= self.needed:
            return None
        text = (
            f"the next archive does not fit: the disk of {self.path} has {human_size(self.free)} free, and"
            f" {human_size(self.needed)} may be needed"
        )
        return Problem(DISK, text)


def disks(settings: Settings, last_size: int) -> tuple[Disk, ...]:
    """Given the settings and the size of the last archive in bytes (0: none is known), return the disks that hold the
    folders of a tick. What cannot be looked at is left out.

    The dataset is compressed when it is written to the work folder, so it takes as much there as the archive does.
    """
    size = int(last_size * _GROWTH)
    needed = {
        "work": (settings.work_path, size),
        "archives": (settings.archives_path, size),
        "state": (settings.state_path, 0),
    }
    found: dict[int, Disk] = {}
    for name, (folder, bytes_) in needed.items():
        try:
            path = _there(folder)
            free, device = _free(path), path.stat().st_dev
        except OSError:
            continue
        before = found.get(device, Disk((), str(path), free, 0))
        found[device] = Disk((*before.folders, name), before.path, free, before.needed + bytes_ + _SPARE)
    return tuple(found.values())


def versions() -> dict[str, str]:
    """Return the versions of this software and of the programs that it uses; empty where one is not there."""
    try:
        client = _version_of(str(client_program("pg_dump")))
    except BackupsError:
        client = ""
    return {
        "engine": __version__,
        "gpg": _version_of("gpg"),
        "postgresql_client": client,
        "python": platform.python_version(),
    }


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there: the work folder is there during a tick alone."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _free(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _version_of(program: str) -> str:
    try:
        done = answer([program, "--version"], seconds=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(done.stdout)
    return match[0] if match else ""
