"""The safety backup before a swap, and the second one if somebody wrote in between: no committed write ends up nowhere.

It goes below a prefix of its own, `before-restore/`: data that one is about to replace must not become "the newest
archive", which the next restore would take. It is SQL alone, because the application may be unable to read its own
tables: that is why one restores. What was last saved by a tick stays remembered.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..django_app.environment import check_user
from ..django_app.sources import application_dsn, owner_dsn
from ..errors import ArchiveError, NoDatabaseError, RestoreError
from ..postgres.dsn import Dsn
from ..settings import SAFETY, Settings
from ..state.folder import PATIENCE, State
from ..system.files import write_durably
from .manifests import signed

if TYPE_CHECKING:
    from ..archive.manifest import Manifest

log = logging.getLogger(__name__)

_MANIFEST = "safety-manifest.json"


@dataclass(frozen=True)
class Safety:
    """What was done: the archive's key, empty where nothing was saved, and why, in words."""

    key: str
    reason: str


def save_before(settings: Settings) -> Safety:
    """Given the settings, save the database as it is now.

    :raises BackupsError: it could not be saved, but for a database that does not exist: then there is nothing to save
    """
    dsn = _live(settings)
    try:
        return _save(settings, dsn, "the data as they were before the restore")
    except NoDatabaseError:
        return Safety("", f"there is no database {dsn.database}: nothing to save")


def save_between(settings: Settings, replaced: str) -> Safety:
    """Given the name of the database that the swap has just replaced, save it if it differs from the safety backup.

    :raises BackupsError: it could not be compared, or not be saved; it stays where it is
    """
    from ..verify.database import verify_rows

    check_user()
    dsn = _live(settings).to(replaced)
    verification = verify_rows(dsn, _last_manifest(settings, f"look into {replaced}, which is kept"))
    if verification.proven:
        return Safety("", "nothing was written between the safety backup and the swap")
    log.warning("%s was written to between the safety backup and the swap: %s", replaced, verification.summary)
    return _save(settings, dsn, "it was written to between the safety backup and the swap")


def check_unchanged(settings: Settings, tables: Collection[str]) -> None:
    """Given tables of the live database that nobody can write now, compare them with the safety backup.

    :param tables: as Django names them
    :raises RestoreError: somebody has written since
    """
    from ..verify.database import verify_rows

    verification = verify_rows(_live(settings), _last_manifest(settings, "nothing was changed"), tables)
    if not verification.proven:
        raise RestoreError(
            f"somebody has written since the safety backup: {'; '.join(verification.differences)}",
            "nothing was changed; stop the application (pre-restore commands), then restore again",
        )


def _live(settings: Settings) -> Dsn:
    """Given the settings, return where the database that a restore replaces is read.

    A standby may lack what the primary has committed, and learns of a rename later: there, the application's own way.
    """
    from ..postgres.standby import shows_the_primary

    dsn, _ = application_dsn(settings)
    return dsn if not settings.database_url or shows_the_primary(dsn) else owner_dsn(settings)[0]


def _last_manifest(settings: Settings, hint: str) -> Manifest:
    from ..archive.manifest import parse_manifest

    try:
        return parse_manifest((settings.state_path / _MANIFEST).read_bytes())
    except OSError as error:
        raise ArchiveError(f"the safety backup's manifest cannot be read: {error.strerror}", hint) from None


def _save(settings: Settings, dsn: Dsn, reason: str) -> Safety:
    from ..archive.writer import pack
    from ..openpgp.keyring import Keyring
    from ..postgres.snapshot import exported_snapshot
    from ..storage.s3 import Store
    from .dump import dump

    check_user()
    os.umask(0o077)
    state = State(settings.state_path)
    with state.lock(PATIENCE), state.work_folder() as folder:
        with exported_snapshot(dsn, settings.lock_timeout) as snapshot:
            timestamp = datetime.fromtimestamp(int(time.time()), timezone.utc)
            dataset = dump(snapshot, None, folder, settings.migration_wait, {})
        manifest = dataset.manifest(settings.name, timestamp)
        target = _free(settings.archives_path / SAFETY, timestamp, settings.encryption)
        keyring = Keyring(settings.gnupg_home) if settings.encryption else None
        manifest, signature, _ = signed(settings, manifest, SAFETY + target.name)
        packed = pack(folder, manifest, target, keyring, settings.recipients, signature=signature)
        key = settings.store.prefix + SAFETY + target.name
        Store(settings.store).upload(packed.path, key, packed.sha256)
        write_durably(settings.state_path / _MANIFEST, manifest.to_json())
        return Safety(key, reason)


def _free(folder: Path, timestamp: datetime, encrypted: bool) -> Path:
    """Return a path for the archive: two safety backups may fall into one second."""
    from ..storage.catalog import file_name

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while (folder / file_name(timestamp, encrypted)).exists():
        timestamp += timedelta(seconds=1)
    return folder / file_name(timestamp, encrypted)
