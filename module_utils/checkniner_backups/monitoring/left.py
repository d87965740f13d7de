"""The operator's commands that a tick leaves to another process.

A unit of systemd that is fenced in would fence in its commands too, and a `mail` that has to write into a spool is one.
So the tick leaves a file, at the sight of which systemd starts a unit without the fence.
"""

from __future__ import annotations

import json
import logging

from ..errors import DiskError
from ..settings import Settings
from ..state.folder import LEFT
from ..state.last_tick import LastTick, parse_tick
from ..system.files import write_durably
from .commands import event_between, run_commands

log = logging.getLogger(__name__)


def leave(settings: Settings, before: LastTick | None, after: LastTick) -> bool:
    """Given the last tick and this one, leave the commands to another process; return whether that was possible.

    :param before: None where none is known
    """
    text = json.dumps([before.to_json() if before else "", after.to_json()])
    try:
        write_durably(settings.state_path / LEFT, text.encode())
    except DiskError as error:
        log.warning("the commands of checkniner_backups_on_failure_commands run here: %s", error.message)
        return False
    return True


def run_left(settings: Settings) -> None:
    """Run what a tick has left, if it has left anything. What fails is logged, nothing is raised."""
    path = settings.state_path / LEFT
    try:
        texts = json.loads(path.read_text())
        before, after = (parse_tick(text) for text in texts)
    except (OSError, ValueError, TypeError):
        before = after = None
    path.unlink(missing_ok=True)
    if after and (event := event_between(before, after)):
        run_commands(settings, event, before, after)
