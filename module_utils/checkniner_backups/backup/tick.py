"""A backup, from looking for a change to remembering what was saved.

`tick` reads top to bottom as the stages of a run: check and dump, package, upload. The Ansible modules call the same
three stages one by one; between them, a dataset is a folder.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from ..django_app.environment import check_user
from ..django_app.sources import application_dsn, owner_dsn
from ..errors import (
    DatabaseError,
    EmptyDatabaseError,
    MissedChangeError,
    PartialArchiveError,
    PrefixConflictError,
)
from ..postgres.snapshot_token import read_token
from ..settings import Settings
from ..state.folder import State
from ..system.files import write_durably
from . import changes
from .changes import Verdict
from .context import RunContext
from .manifests import read_manifest, read_signature, signed, write_manifest
from .publish import CANDIDATE, Seen, check_store, cut_off, drop_superseded, newest_before, stamp_after, upload
from .shrinking import sentences, shrunken

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..archive.writer import Packed
    from .detect import Dumped
    from .dump import Dataset

log = logging.getLogger(__name__)

DATASET = "dataset"
"""The folder of the members, in the folder that `check` fills."""


@dataclass(frozen=True)
class Outcome:
    """What a run did. `size` is in bytes; `key` is empty where nothing was saved.

    :param missing: the apps whose fixture the newest archive lacks, with the reason: no full success
    :param shrunk: a sentence on each business table that has suddenly lost many rows
    """

    verdict: Verdict
    key: str = ""
    size: int = 0
    sha256: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)
    shrunk: tuple[str, ...] = ()

    def require_whole(self) -> None:
        """Return if no fixture is missing.

        :raises PartialArchiveError: one is; the message names apps and reasons
        """
        if self.missing:
            raise PartialArchiveError(
                "these fixtures cannot be read, and what was saved lacks them: "
                + "; ".join(f"{app}: {reason}" for app, reason in sorted(self.missing.items())),
                "the SQL is complete, a restore with source=sql brings everything back; mend the row or the"
                " application's code that is named here; the next full comparison, within an hour, or backup --force"
                " then saves the fixtures too",
            )


Keep = Callable[[Path, "Manifest"], object]
"""Is given the folder of a dataset, and its manifest, before the dataset is removed."""
Begin = Callable[[], object]


def tick(
    settings: Settings, *, force: bool = False, keep: Keep = lambda _folder, _manifest: None, begin: Begin = int
) -> Outcome:
    """Given the settings, save an archive if and only if the business data changed since the last one.

    :param force: save in any case
    :param begin: called once the lock is held
    :param keep: called with each dataset that was dumped, after the upload if there is something to save
    :raises MissedChangeError: an archive was saved that the cheap checks had not asked for
    :raises PrefixConflictError: an archive was saved, for another server saves below the same prefix; or all is saved,
        and the store has an archive of the future
    :raises BackupsError: something failed; nothing is remembered as saved, and the next tick makes up for it
    """
    with prepared(settings, force=force, begin=begin) as context:
        if verdict := check_snapshot(context):
            _tell_of_the_future(context)
            return Outcome(verdict, missing=context.saved.missing if context.saved else {})
        with context.state.work_folder() as folder:
            dumped = check(context, folder, meanwhile=_import_uploader)
            if not dumped.verdict.changed:
                if dumped.dataset:
                    now = datetime.now(timezone.utc).replace(microsecond=0)
                    keep(folder / DATASET, dumped.dataset.manifest(settings.name, now))
                _tell_of_the_future(context)
                return Outcome(dumped.verdict, missing=dumped.missing)
            packed = package(settings, folder)
            saved = upload(settings, folder, packed.path, packed.sha256)
            keep(folder / DATASET, read_manifest(folder))
    if context.foreign:
        raise PrefixConflictError(
            f"{context.foreign} in the store was not made by this server; its own data is saved anew as {saved.key}",
            "each server needs a prefix of its own (checkniner_backups_s3_prefix), or a restore takes another one's"
            " data; if this server's own state was set back, as by a snapshot of its disk, all is well now",
        )
    if dumped.fault:
        raise MissedChangeError(
            f"the daily full comparison found a change that the cheap checks had missed: {dumped.verdict.reason}",
            f"it is saved as {saved.key}; the application's code may write equal rows in another way since it was last"
            " deployed (a serializer of its own, a library); if not, this is a fault of ours: please report it",
        )
    _tell_of_the_future(context)
    return Outcome(dumped.verdict, saved.key, saved.size, saved.sha256, dumped.missing, tuple(sentences(saved)))


def _tell_of_the_future(context: RunContext) -> None:
    """Given the run, whose own work is done, return if the store has no archive of the future.

    :raises PrefixConflictError: it has one
    """
    if context.ahead:
        raise PrefixConflictError(
            f"{context.ahead} in the store is of the future, so no tick of this server made it; all data of this server"
            " is saved",
            "look who else writes below this prefix, and remove that object with credentials that may; a restore of"
            " the latest archive leaves it out",
        )


def _import_uploader() -> None:
    from ..storage.client import import_client

    with suppress(Exception):  # what is wrong is met again, and told, where it is needed
        import_client()


@contextmanager
def prepared(
    settings: Settings, *, force: bool = False, patience: float = 0.0, begin: Begin = int
) -> Iterator[RunContext]:
    """Given the settings, yield the run's context with the lock held.

    :param patience: seconds to wait for another run to end
    :raises BusyError: another run is at work
    :raises SettingsError: started as root or postgres
    :raises ApplicationError: `bin/activate` is missing or lacks `DATABASE_URL`
    """
    check_user()
    os.umask(0o077)
    state = State(settings.state_path)
    with state.lock(patience):
        begin()
        state.sweep()
        dsn, environment = application_dsn(settings)
        saved, why_not = changes.comparable(state.load(), settings.archive_settings(), dsn.database_id())
        seen = Seen(saved, why_not)
        if saved and (name := cut_off(settings.state_path)):
            seen = Seen(None, f"the upload of {name} was cut off, and may be in the store all the same")
        elif saved and not force and not 0 <= time.time() - saved.seen_in_store_at < settings.store_check_every:
            seen = check_store(settings, state, saved)
        yield RunContext(
            settings, state, dsn, environment, seen.saved, seen.why_not, force, seen.foreign, seen.ahead,
        )  # fmt: skip


def check_snapshot(context: RunContext) -> Verdict | None:
    """Given the run, return "unchanged" if the snapshot token alone says so and no full check is due, else None."""
    if context.force or context.saved is None or not context.saved.snapshot_token:
        return None
    if changes.full_check_due(context.saved, time.time(), context.settings.full_check_every):
        return None
    return changes.by_token(context.saved, read_token(context.dsn))


def check(context: RunContext, folder: Path, meanwhile: Callable[[], object] = lambda: None) -> Dumped:
    """Given the run and an empty folder, check the data; where there is something to save, the folder holds it then.

    :param meanwhile: is called in a thread of its own once a dump has begun

    :raises EmptyDatabaseError: this server has saved nothing yet, its application is empty, and the store is not
    :raises BackupsError: something failed; nothing is remembered
    """
    from ..storage.catalog import file_name
    from .detect import check_and_dump

    dumped = check_and_dump(context, folder, meanwhile)
    if dumped.dataset and dumped.candidate:
        dataset, candidate = dumped.dataset, dumped.candidate
        before = newest_before(context.settings, context.state.load(), context.foreign)
        _keep_the_newest(context, dataset, dumped.apps, before)
        manifest = dataset.manifest(context.settings.name, datetime.fromtimestamp(int(candidate.at), timezone.utc))
        if dumped.no_model:
            manifest = replace(manifest, fixtures={**manifest.fixtures, "no_model": list(dumped.no_model)})
        if dumped.missing:
            known = context.state.load()
            last_whole = known.last_whole if known else ""
            told = {"missing": dict(dumped.missing), "last_whole": last_whole}
            manifest = replace(manifest, fixtures={**manifest.fixtures, **told})
            candidate = replace(candidate, last_whole=last_whole)
        shrunk = shrunken(context.state.load(), candidate.rows, candidate.at, context.settings.shrink_percent,
                          acknowledged=context.force)  # fmt: skip
        candidate = replace(candidate, shrunk=shrunk)
        if rehearsal := context.state.load_rehearsal():
            manifest = replace(manifest, rehearsal=rehearsal.for_manifest())
        name = file_name(stamp_after(candidate.at, before), context.settings.encryption)
        manifest, signature, unsigned = signed(context.settings, manifest, name)
        candidate = replace(candidate, unsigned=unsigned)
        write_manifest(folder, manifest, signature)
        write_durably(folder / CANDIDATE, candidate.to_json().encode())
        if dumped.verdict.changed:
            for sentence in sentences(candidate):
                log.warning("%s", sentence)
            _warn(context, dataset)
    return dumped


def _warn(context: RunContext, dataset: Dataset) -> None:
    """Say now what would stop a restore of this archive from SQL: nobody wants to learn it then."""
    from ..postgres.preflight import loading_problems  # a tick that finds nothing new does without it

    # Where a URL of its own is set, it is a role's that only reads.
    role = owner_dsn(context.settings)[0].user if context.settings.database_url else context.dsn.user
    try:
        problems = loading_problems(context.dsn, dataset.database, role)
    except DatabaseError as error:
        problems = [f"that could not be looked at: {error.message}"]
    for problem in problems:
        log.warning("this archive's SQL will not load as the application's role %s: %s", role, problem)


def package(settings: Settings, folder: Path) -> Packed:
    """Given a folder that `check` has filled, write the archive among the local ones and return it.

    :raises EncryptionError: a key cannot be used
    :raises DiskError: the disk is full
    """
    from ..archive.writer import pack, point_latest
    from ..openpgp.keyring import Keyring

    manifest = read_manifest(folder)
    settings.archives_path.mkdir(mode=0o700, exist_ok=True)
    keyring = Keyring(settings.gnupg_home) if settings.encryption else None
    signature = read_signature(folder)
    target = settings.archives_path / manifest.name
    packed = pack(folder / DATASET, manifest, target, keyring, settings.recipients, signature=signature)
    point_latest(packed.path)
    drop_superseded(settings, packed.path)
    return packed


def _keep_the_newest(context: RunContext, dataset: Dataset, apps: Sequence[str], before: datetime | None) -> None:
    """A server that was just made again has an empty application; its archive must not become the newest one, for that
    is what its operator is about to restore.

    :raises EmptyDatabaseError: so it would be
    """
    if context.force or before is None or context.state.load() is not None or dataset.fixtures is None:
        return
    if dataset.fixtures.entered(apps):
        return
    raise EmptyDatabaseError(
        f"nothing is saved: {', '.join(apps)} hold nothing on this server, which has saved"
        f" nothing yet, and the store has archives, the newest of {before:%Y-%m-%d %H:%M} UTC",
        "restore that one: restore.yml -e source=sql; or, to start anew with an empty database: backup --force",
    )
