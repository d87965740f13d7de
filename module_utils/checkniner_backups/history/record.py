"""The server's side of the history: an entry for each archive that was saved, and one object a day in the store.

The server may put below the history's prefix, and not read there: what it adds to is a file in the state folder, which
is uploaded again, encrypted to the same keys as the archives, with each archive of its day. A file that could not be
uploaded stays, and goes with the next archive. The archives do not need the history: nothing here may fail a tick.
"""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArchiveError, BackupsError
from ..openpgp.stream import EncryptingWriter
from ..openssh.signing import public_key, sign
from ..settings import Settings, history_prefix
from ..system.files import folder_locked, write_durably
from ..system.timestamps import is_far_ahead
from .entries import LIMIT, Content, History, Saved, parse, stamp_of

if TYPE_CHECKING:
    from ..storage.s3 import Store

log = logging.getLogger(__name__)

FOLDER = "history"
"""In the state folder: the file of this day, and those that are not in the store yet."""
_ENDING = ".json"
_PROBLEM = "problem"
"""A file beside them: why the last upload failed; it is not there where none did."""
_MOST = 31
"""So many files wait for an upload at most: a store that takes none must not fill the disk."""
_DAY = len("2026-11-29")
_SHOWN = 1000  # characters


def keep(settings: Settings, store: Store, saved: Saved) -> None:
    """Given an archive that the store has confirmed, add it to the history, and upload the history.

    :raises BackupsError, OSError: something failed; what could be written waits for the next archive
    """
    folder = settings.state_path / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with folder_locked(folder):
        for left in folder.glob(".*"):  # half of a file, of a run that was killed: who writes one holds this lock
            left.unlink()
        origin = _origin(settings)
        today = _added(settings, folder, origin, saved)
        for path in _waiting(folder):
            _send(settings, store, path, origin)
            if path != today:
                path.unlink()
        (folder / _PROBLEM).unlink(missing_ok=True)


def remember_failure(state_path: Path, error: Exception) -> str:
    """Given the state folder and why the history is not in the store, keep that for `status`; return it in words."""
    why = error.message if isinstance(error, BackupsError) else f"{type(error).__name__}: {error}"
    text = (
        f"the history that timeline.yml shows is not complete in the store: {' '.join(why.split())[:_SHOWN]}; the"
        " archives are, and the next one's tick tries again; scripts/policy prints the rights that the server's keys"
        " need"
    )
    try:
        write_durably(state_path / FOLDER / _PROBLEM, text.encode())
    except BackupsError:  # the folder could not be made: the log has it
        log.debug("the failure was not remembered")
    return text


def last_failure(state_path: Path) -> str:
    """Given the state folder, return why the history is not in the store; empty where it is, or nothing is known."""
    try:
        with (state_path / FOLDER / _PROBLEM).open(errors="replace") as file:
            return file.read(2 * _SHOWN)
    except OSError:
        return ""


def _added(settings: Settings, folder: Path, origin: str, saved: Saved) -> Path:
    """Add an entry to the file of this day, or begin one; return the file."""
    where = _where(settings)
    files = (path for path in folder.glob(f"*{_ENDING}") if not is_far_ahead(f"{path.stem}.tar.gz"))
    found = max(files, default=None)
    history = _read(found) if found else None
    if found and history and history.entries[-1].archive >= saved.archive:
        return found  # a playbook has uploaded an older one late: a later entry tells the difference
    if found and history and _continues(history, saved.archive, (settings.name, where, origin)):
        longer = replace(history, entries=(*history.entries, history.content().next_entry(saved))).to_bytes()
        if len(longer) <= LIMIT:
            write_durably(found, longer)
            return found
    first = History(settings.name, where, origin, (Content().next_entry(saved),)).to_bytes()
    if len(first) > LIMIT:
        raise ArchiveError(f"the names of {len(saved.content.tables):,} tables are more than an entry may hold")
    path = folder / (stamp_of(saved.archive) + _ENDING)
    write_durably(path, first)
    return path


def _continues(history: History, archive: str, whose: tuple[str, str, str]) -> bool:
    """Return whether the archive is one of the same day, server, store and kind as those of the history."""
    same = (history.application, history.store, history.origin) == whose
    return same and history.first[:_DAY] == archive[:_DAY] and _is_encrypted(history.first) == _is_encrypted(archive)


def _is_encrypted(archive: str) -> bool:
    return archive.endswith(".gpg")


def _read(path: Path) -> History | None:
    """Given a file, return the history in it; one that is damaged is removed."""
    try:
        with path.open("rb") as file:
            return parse(file.read(LIMIT + 1))
    except (ArchiveError, OSError):
        log.warning("%s was damaged and is left out: another file of the history begins", path)
        path.unlink(missing_ok=True)
        return None


def _waiting(folder: Path) -> list[Path]:
    """Return the files in their order, and remove the oldest where too many wait."""
    found = sorted(folder.glob(f"*{_ENDING}"))
    for path in found[:-_MOST]:
        log.warning("%s was never uploaded, and is removed: %d newer ones wait", path.name, _MOST)
        path.unlink()
    return found[-_MOST:]


def _where(settings: Settings) -> str:
    return f"{settings.store.bucket}/{settings.store.prefix}"


def _origin(settings: Settings) -> str:
    key = public_key(settings.state_path)
    return key.fingerprint if key else ""


def _send(settings: Settings, store: Store, path: Path, origin: str) -> None:
    """Given a file, upload it, if it is of this store and can be encrypted as its archives are."""
    history = _read(path)
    if history is None or history.store != _where(settings):
        return
    encrypted = _is_encrypted(history.first)
    if encrypted != settings.encryption:
        return
    data = history.to_bytes()
    if origin and history.origin == origin:
        data += sign(data, settings.state_path)
    key = history_prefix(settings.store.prefix) + path.name + (".gpg" if encrypted else "")
    store.put_small(key, _encrypted(settings, data) if encrypted else data)


def _encrypted(settings: Settings, data: bytes) -> bytes:
    target = io.BytesIO()
    writer = EncryptingWriter(target, settings.recipients, settings.gnupg_home)
    try:
        writer.write(data)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    return target.getvalue()
