"""Removing old local archives. The store is never touched: this server may not delete there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ..django_app.environment import check_user
from ..settings import SAFETY, Settings
from ..state.folder import PATIENCE, State
from ..storage.s3 import ARCHIVE_NAME
from ..system.stale_files import clean_up
from ..system.timestamps import is_far_ahead

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cleaned:
    """Names of the local archives that were removed (in check mode: would be), and of those kept."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def clean(settings: Settings, *, dry_run: bool = False) -> Cleaned:
    """Given the settings, remove all local archives but the newest, and all safety backups but the newest.

    Archives newer than the last one that the store has confirmed stay as well: they are nowhere else. So does the
    newest whole one, where the newest lacks a fixture.

    :raises BusyError: a run was at work all the time that this one waits for it
    """
    check_user()
    state = State(settings.state_path)
    with state.lock(PATIENCE):  # it runs once a month: a tick at that moment must not keep it from that
        saved = state.load()
        confirmed = Path(saved.key).name if saved else ""
        folder = settings.archives_path
        names = sorted(path.name for path in folder.iterdir() if is_archive(path.name)) if folder.is_dir() else []
        # A restore went on only after the store had confirmed these; the newest stays for whoever just restored.
        safety = sorted(f"{SAFETY}{path.name}" for path in (folder / SAFETY).glob("*") if is_archive(path.name))
        whole = Path(saved.last_whole).name if saved else ""
        # One of the future is none of ours, and never the newest.
        ours = [name for name in names if not is_far_ahead(name)]
        removed = (*(name for name in to_remove(ours, confirmed) if name != whole), *safety[:-1])
        if not dry_run:
            for name in removed:
                (folder / name).unlink(missing_ok=True)
                log.info("removed %s", folder / name)
            clean_up(settings)
        return Cleaned(removed, tuple(name for name in (*names, *safety) if name not in removed))


def is_archive(name: str) -> bool:
    """Given a file's name, return whether it is an archive's."""
    return bool(ARCHIVE_NAME.match(name))


def to_remove(names: list[str], confirmed: str) -> tuple[str, ...]:
    """Given the archives' names, oldest first, and the last one that the store confirmed, return which may go."""
    return tuple(name for name in names[:-1] if confirmed and name <= confirmed)
