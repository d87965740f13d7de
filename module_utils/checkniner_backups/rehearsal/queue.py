"""A dataset that waits to be rehearsed: what a tick has dumped, kept for a process of its own.

The tick has uploaded by then, and goes on its way: it neither waits for the rehearsal nor fails with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .. import __version__
from ..errors import BackupsError
from ..state.folder import QUEUED, State
from ..state.last_rehearsal import FAILED, LastRehearsal
from ..system.environment import plain_environ

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..settings import Settings

log = logging.getLogger(__name__)

LOCK = "rehearsal.lock"
"""A file in the state folder, locked while a rehearsal runs."""
_AFTER_FAILURE = 3600.0
"""Seconds between two rehearsals while they fail: what was mended may be in no table."""


def schema_of(manifest: Manifest) -> str:
    """Given a manifest, return the digest (hex) of the schema and of the applied migrations."""
    parts = [manifest.database.get("schema_sha256", ""), manifest.fixtures.get("migrations", {})]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def due(last: LastRehearsal | None, schema: str, now: float, every: float) -> str:
    """Given the last rehearsal, the schema now, the time (seconds since the epoch) and the interval (seconds), return
    why one is due; empty if none is."""
    if last is None:
        return "none is known"
    if last.schema != schema:
        return "the schema or the migrations have changed since the last one"
    if last.engine != __version__:
        return f"the last one was made by version {last.engine}"
    interval = min(every, _AFTER_FAILURE) if last.verdict == FAILED else every
    if 0 <= now - last.at < interval:
        return ""
    return "the last one failed" if last.verdict == FAILED else "the last one is old"


def keep_if_due(settings: Settings, dataset: Path, manifest: Manifest) -> bool:
    """Given a dataset's folder and its manifest, keep it where a rehearsal is due; return whether it was kept.

    Never fails: the backup that it belongs to is in the store.
    """
    if settings.rehearsal == "none":
        return False
    state = State(settings.state_path)
    try:
        why = due(state.load_rehearsal(), schema_of(manifest), time.time(), settings.rehearse_every)
        if not why or is_running(settings):
            return False
        for old in settings.state_path.glob(f"{QUEUED}*"):
            old.unlink(missing_ok=True)
        put_in(settings, dataset, manifest)
    except (BackupsError, OSError) as error:
        log.warning("no rehearsal, for its dataset cannot be kept: %s", error)
        return False
    log.info("a restore will be rehearsed: %s", why)
    return True


def put_in(settings: Settings, dataset: Path, manifest: Manifest) -> Path:
    """Given a dataset's folder and its manifest, keep it as an archive that only we can read; return its path.

    :raises BackupsError: it cannot be written
    """
    from ..archive.writer import pack

    target = settings.state_path / f"{QUEUED}{manifest.created:%Y%m%dT%H%M%S}.tar.gz"
    return pack(dataset, manifest, target, None).path


def is_running(settings: Settings) -> bool:
    """Given the settings, return whether a rehearsal is at work."""
    try:
        with (settings.state_path / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def start_process(environment_file: Path) -> None:
    """Given the file of settings, start a process that rehearses what was kept, and do not wait for it."""
    command = [sys.executable, "-m", "checkniner_backups.cli.main", "--environment", str(environment_file.absolute())]
    try:
        subprocess.Popen(
            [*command, "rehearse", "--kept"],
            cwd="/",  # Python looks for modules where it is started
            env=plain_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # cron's log goes on in the same file; whoever reads the tick's output from a pipe would wait for its end.
            stderr=None if _is_file(sys.stderr) else subprocess.DEVNULL,
            start_new_session=True,  # it outlives the tick, and a signal to the tick is not for it
        )
    except OSError as error:
        log.warning("no rehearsal, for its process cannot be started: %s", error.strerror)


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
