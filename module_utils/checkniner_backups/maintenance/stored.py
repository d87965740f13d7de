"""Whether the store still holds the newest archive as it was remembered; and what time the store thinks it is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from ..settings import Settings
from ..state.last_backup import LastBackup
from ..storage.client import StoredObject
from ..storage.s3 import Store
from ..storage.upload import Outgoing
from ..system.timestamps import clock_warning
from .problems import ALTERED, CLOCK, LOST, STORE, Problem

AS_REMEMBERED, SIZE_ALONE = "as remembered", "the size is as remembered, the digest cannot be known"
MISSING, DIFFERENT, NOT_ASKED = "missing", "not as remembered", "not known"
_PIECE = 1 << 20
"""Bytes."""
_OF_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")


@dataclass(frozen=True)
class StoredArchive:
    """What the store says of the newest archive.

    :ivar newest: one of the words above
    :ivar clock_ahead: seconds by which the store's clock is ahead of this machine's (negative: behind); None where the
        store has not told its time
    """

    newest: str
    clock_ahead: float | None = None
    problems: tuple[Problem, ...] = ()


def ask(settings: Settings, saved: LastBackup | None) -> StoredArchive:
    """Given the settings and what is remembered of the newest archive, ask the store for it: one HEAD, or where these
    credentials may not send one, a LIST of its key.

    Where the digest that was sent with the archive cannot be seen, what the store computed of it is compared with the
    local copy. A store that cannot be asked is a problem, no error.
    """
    store, newest, problems = Store(settings.store), NOT_ASKED, []
    try:
        if saved is None:
            store.check()
        else:
            newest = _judged(settings, saved, found := store.look(saved.key))
            problems += _problems(saved, found, newest, str(store))
    except StoreError as error:
        hint = f". {error.hint}" if error.hint else ""
        problems.append(Problem(STORE, f"the store cannot be asked: {error.message}{hint}"))
    if text := clock_warning("the store", store.clock_ahead):
        problems.append(Problem(CLOCK, f"{text}; look at timedatectl"))
    # The store object says 0.0 where no answer has told the time.
    return StoredArchive(newest, store.clock_ahead or None, tuple(problems))


def _judged(settings: Settings, saved: LastBackup, found: StoredObject | None) -> str:
    if found is None:
        return MISSING
    if found.size != saved.size or (found.sha256 and found.sha256 != saved.sha256):
        return DIFFERENT
    local = settings.archives_path / saved.key.rpartition("/")[2]
    try:
        if found.etag in Outgoing(local, saved.size, saved.sha256).etags():
            return AS_REMEMBERED
        # Where the upload was verified and no key of KMS is in use, an ETag of this form is an MD5 of the content.
        told = saved.verified and not found.kms and _OF_MD5.fullmatch(found.etag) is not None
        if told and _sha256(local) == saved.sha256:
            return DIFFERENT
    except OSError:  # there is no local copy any more
        pass
    return AS_REMEMBERED if found.sha256 else SIZE_ALONE


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _problems(saved: LastBackup, found: StoredObject | None, newest: str, store: str) -> list[Problem]:
    if newest == MISSING:
        hint = "the next look of a tick into the store saves the data anew"
        return [Problem(LOST, f"the newest archive, {saved.key}, is no longer in {store}; {hint}")]
    if newest == DIFFERENT and found:
        what = f"it has {found.size} bytes, not {saved.size}" if found.size != saved.size else "its digest differs"
        text = f"{saved.key} in {store} is not what was saved: {what}; look who else writes there"
        return [Problem(ALTERED, text)]
    return []
