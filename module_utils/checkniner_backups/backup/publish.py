"""The store and this server's state, kept in step.

An archive is remembered once the store has confirmed it. Where that may have failed between the two (a kill, a lost
answer), or where somebody else saves below the same prefix, the remembered archive need not be the newest one, which is
what a restore takes: then the data is saved anew, changed or not.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArchiveError, StoreError
from ..settings import Settings
from ..state.folder import State
from ..state.last_backup import Candidate, LastBackup, parse
from ..system.files import write_durably

if TYPE_CHECKING:
    from ..storage.s3 import Store

log = logging.getLogger(__name__)

CANDIDATE = "candidate.json"
"""A file in the dataset's folder: what to remember once the archive is stored."""
_PENDING = "pending"
"""A file in the state folder: the name of the archive whose upload has begun and not ended well. Locked by whoever
sends it."""

_CLOCK_WAS_FAST = timedelta(minutes=1)
"""So far ahead of the clock, the newest archive's stamp cannot come from two runs in one second."""


def upload(settings: Settings, folder: Path, archive: Path, sha256: str) -> LastBackup:
    """Given a dataset's folder and its packed archive, upload it, and remember it once the store has confirmed it.

    :param sha256: the archive's digest (hex)
    :returns: what is remembered of it
    :raises StoreError: the store refused or cannot be reached; nothing is remembered
    """
    from ..storage.client import created_metadata
    from ..storage.s3 import Store
    from ..system.timestamps import clock_warning

    try:
        candidate = parse((folder / CANDIDATE).read_text(errors="replace"), Candidate)
    except OSError as error:
        raise ArchiveError(f"cannot read {folder / CANDIDATE}: {error.strerror}", "make the dataset first") from None
    if candidate is None:
        raise ArchiveError(f"{folder} was filled by another version of this software", "make the dataset anew")
    key = settings.store.prefix + archive.name
    with _sending(settings.state_path / _PENDING, archive.name):
        store = Store(settings.store)
        stored = store.upload(archive, key, sha256, created_metadata(candidate.at))
        saved = candidate.published(key, stored.size, sha256, now=time.time(), verified=stored.verified)
        if warning := clock_warning("the store", store.clock_ahead):
            log.warning("%s", warning)
            saved = replace(saved, warnings=(*saved.warnings, warning))
        # Between the steps of a playbook, a tick may have saved something newer: that is what to compare with.
        State(settings.state_path).store_newer(saved)
    _keep_history(settings, store, folder, saved)
    return saved


def _keep_history(settings: Settings, store: Store, folder: Path, saved: LastBackup) -> None:
    """Given an archive that is in the store, and the folder of its dataset, tell the history of it."""
    from ..history.record import keep, remember_failure
    from .contents import saved_archive
    from .manifests import read_manifest

    try:
        keep(settings, store, saved_archive(read_manifest(folder), saved))
    except Exception as error:  # noqa: BLE001 - the archive is saved and remembered, whatever fails here
        log.warning("%s", remember_failure(settings.state_path, error))


@contextmanager
def _sending(pending: Path, name: str) -> Iterator[None]:
    """Given the file and an archive's name, keep it there, locked, until the work inside has ended well."""
    write_durably(pending, name.encode())
    with pending.open("rb") as file:
        with suppress(OSError):  # a playbook's upload beside a tick's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        with suppress(OSError):
            if pending.read_text() == name:
                pending.unlink()


def cut_off(state_path: Path) -> str:
    """Given the state folder, return the name of the archive whose upload did not end well: nobody knows whether it
    is in the store. Empty where there is none, or where it is being sent."""
    try:
        with (state_path / _PENDING).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return file.read(100).decode(errors="replace")
    except OSError:
        return ""


def drop_superseded(settings: Settings, archive: Path) -> None:
    """Given a new archive, remove the one that could not be uploaded before it: a store that cannot be reached for
    days must not fill this disk, one archive every five minutes."""
    from ..storage.s3 import ARCHIVE_NAME

    name = cut_off(settings.state_path)
    if name != archive.name and ARCHIVE_NAME.match(name):
        (settings.archives_path / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Seen:
    """What a look into the store found.

    :ivar saved: what may be compared with; None where nothing may be
    :ivar why_not: why not, if nothing
    :ivar foreign: key of a newer archive that is not of this server; empty where there is none
    :ivar ahead: key of an archive of the future; empty where there is none
    """

    saved: LastBackup | None
    why_not: str = ""
    foreign: str = ""
    ahead: str = ""


def check_store(settings: Settings, state: State, saved: LastBackup) -> Seen:
    """Given what was saved last, see whether the store still has it, and as the newest: "unchanged" is worth nothing
    otherwise.

    :raises StoreError: the store refused or cannot be reached
    """
    from ..storage.catalog import find_newest
    from ..storage.s3 import Store

    store = Store(settings.store)
    found = store.look(saved.key)
    if found is None or found.size != saved.size:
        log.warning("the last archive, %s, is no longer in the store", saved.key)
        state.forget()
        return Seen(None, "the last archive is no longer in the store")
    looked = find_newest(store)
    last, ahead = looked.archive, looked.ahead.key if looked.ahead else ""
    # A playbook may have saved something meanwhile, without this lock.
    if last and last.key > saved.key and state.load() == saved and not _is_being_sent(settings, last.name):
        # Not forgotten: until the new archive is there, each tick shall look again.
        return Seen(None, f"the newest archive in the store, {last.key}, was not made by this server", last.key, ahead)
    seen = replace(saved, seen_in_store_at=time.time())
    state.store_over(saved, seen)
    return Seen(seen, ahead=ahead)


def _is_being_sent(settings: Settings, name: str) -> bool:
    try:
        return (settings.state_path / _PENDING).read_text() == name
    except OSError:
        return False


def newest_before(settings: Settings, last: LastBackup | None, foreign: str) -> datetime | None:
    """Return the newest stamp that an archive in the store may have, of those that are not of the future.

    It is that of the last archive, of local ones (a run may have been killed after it had uploaded one), or of a
    foreign one. Where nothing is remembered, or what is known is ahead of the clock, the store is asked: an archive
    that a fast clock has named lies here, but the store may have refused it.

    :param foreign: key of a newer archive that another server made; empty where there is none
    :raises StoreError: nothing is remembered, and the store cannot be asked
    """
    from ..storage.catalog import newest, parse
    from ..storage.s3 import Store
    from ..system.timestamps import latest_stamp

    prefix = settings.store.prefix
    names = [path.name for path in settings.archives_path.glob("*.tar.gz*")]
    names += [key[len(prefix) :] for key in (foreign, last.key if last else "") if key.startswith(prefix)]
    # One of the future would have every archive of ours stamped after it.
    stamps = [archive.stamp for name in names if (archive := parse(name, "")) and archive.stamp <= latest_stamp()]
    certain = datetime.now(timezone.utc) + _CLOCK_WAS_FAST
    if last is None or any(stamp > certain for stamp in stamps):
        try:
            stored = newest(Store(settings.store))
        except StoreError:
            if last is None:
                raise
        else:
            stamps = [stamp for stamp in stamps if stamp <= certain] + ([stored.stamp] if stored else [])
    return max(stamps, default=None)


def stamp_after(timestamp: float, before: datetime | None) -> datetime:
    """Given the snapshot's time (seconds since the epoch) and the newest archive's stamp, return a stamp for the name
    of this one, which sorts last.

    Also when the clock was set back, or two runs fall into one second.
    """
    stamp = datetime.fromtimestamp(int(timestamp), timezone.utc)
    if before is None or stamp > before:
        return stamp
    if before - stamp > _CLOCK_WAS_FAST:
        log.warning(
            "the newest archive is of %s UTC, %s ahead of this machine's clock: this one is named right after it, so"
            " that it is the newest; its manifest tells the time of its data. Was the clock fast, or is it slow now?",
            f"{before:%Y-%m-%d %H:%M:%S}", before - stamp,
        )  # fmt: skip
    return before + timedelta(seconds=1)
