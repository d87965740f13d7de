"""Commands of the operator's own that run when ticks begin to fail, and when they are well again."""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from ..settings import PREFIX, Settings
from ..state.last_tick import LastTick
from ..system.environment import plain_environ
from ..system.processes import kill_group
from ..system.timestamps import iso
from .redaction import Redaction

log = logging.getLogger(__name__)

FAILURE, RECOVERY = "failure", "recovery"
LIMIT = 60.0
"""Seconds that one command may take."""
_SHOWN = 500
"""Characters of a failed command's output that are logged."""


def event_between(before: LastTick | None, after: LastTick) -> str:
    """Given the last tick and this one, return FAILURE for the first failure, RECOVERY for the first success after one.

    Empty where nothing is new.
    """
    was, failing = bool(before and before.failing_since), bool(after.failing_since)
    return "" if was == failing else FAILURE if failing else RECOVERY


def run_commands(settings: Settings, event: str, before: LastTick | None, after: LastTick) -> None:
    """Given the event and the two ticks, run the commands one after the other. What fails is logged, nothing is raised.

    :param before: the tick before this one; None where none is known
    """
    redact = Redaction.of(settings)
    since = before.failing_since if before and event == RECOVERY else after.failing_since
    message, hint = redact(after.message), redact(after.hint)
    host = os.uname().nodename
    name = settings.name
    if event == FAILURE:
        told = f"The backup of {name} on {host} has failed with exit status {after.status}: {message}\n"
        told += f"{hint}\n" if hint else ""
    else:
        told = f"The backup of {name} on {host} works again.\n"
    begun = iso(datetime.fromtimestamp(int(since), timezone.utc))
    values = {
        "EVENT": event, "NAME": name, "HOST": host, "EXIT": str(after.status), "MESSAGE": message, "HINT": hint,
        "SINCE": begun, "STATUS": "failure" if event == FAILURE else "success",
    }  # fmt: skip
    environ = {**plain_environ(), **{PREFIX + key: value for key, value in values.items()}}
    for argv in settings.on_failure_commands:
        _run(argv, environ, told, redact)


def _run(argv: Sequence[str], environ: Mapping[str, str], told: str, redact: Redaction) -> None:
    # Arguments may hold a token: the name of the program is enough to find the command.
    name = Path(argv[0]).name
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(told.encode(errors="replace"))
        given.seek(0)
        try:
            process = subprocess.Popen(
                argv, env=environ, cwd="/", stdin=given, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "an argument holds a zero byte"
            log.error("the command %s of checkniner_backups_on_failure_commands cannot be started: %s", name, why)
            return
        try:
            status: int | None = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            kill_group(process)
            process.wait()
        if status == 0:
            return
        said.seek(0)
        text = redact(said.read().decode(errors="replace").strip())[-_SHOWN:]
        how = f"took longer than {LIMIT:g} s and was ended" if status is None else f"ended with {status}"
        log.error("the command %s of checkniner_backups_on_failure_commands %s: %s", name, how, text or "no output")
