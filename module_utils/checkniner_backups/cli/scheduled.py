"""The commands that cron or systemd runs: one tick, remembered and told. A tick that finds nothing imports nothing that
it can do without."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..backup import tick as backups
from ..errors import BackupsError, BusyError
from ..settings import Settings
from ..state.folder import State
from ..state.last_tick import next_tick
from .commands import report
from .terminal import as_json, say

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..monitoring.run import WatchedRun
    from ..state.pause import Pause

log = logging.getLogger(__name__)


class _PausedError(Exception):
    """The ticks are paused; nothing was done yet."""

    def __init__(self, pause: Pause) -> None:
        super().__init__(pause.sentence())
        self.pause = pause


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """One tick, told to those who are to know. How it ended is remembered for `status`.

    While ticks are paused nothing is done, remembered or told: nothing was looked at.
    """
    this = _Tick(settings, in_unit=arguments.in_unit)
    try:
        outcome = this.work(arguments)
    except BusyError:
        raise  # that run remembers how it ends
    except _PausedError as paused:
        this.passed_over(paused.pause)
        if arguments.json:
            say(as_json({"saved": False, "paused": str(paused)}))
        return
    except BackupsError as error:
        this.ended(error.exit_status, error.message, error.hint)
        raise
    except KeyboardInterrupt as error:
        this.ended(128 + getattr(error, "number", 0), "it was stopped by a signal")
        raise
    except Exception as error:
        this.ended(1, f"a fault of ours: {type(error).__name__}: {error}", "please report it")
        raise
    done = "; ".join((f"saved {outcome.key}", *outcome.shrunk)) if outcome.key else str(outcome.verdict)
    this.ended(0, done)


def tell(settings: Settings, arguments: argparse.Namespace) -> None:
    """Run the commands that a tick in a unit of systemd has left.

    With `--killed`, remember and tell instead that a tick was killed, if it was: it could not do so itself.
    """
    if arguments.killed:
        if how := _killed(os.environ):
            _Tick(settings, in_unit=False).ended(137, how, "journalctl shows what systemd or the kernel said of it")
    elif settings.on_failure_commands:
        from ..monitoring.left import run_left

        run_left(settings)


def _killed(environ: Mapping[str, str]) -> str:
    """Given what systemd says of the unit that has failed, return how its process was ended; empty where it ended by
    itself, for then it has told that itself."""
    if environ.get("MONITOR_EXIT_CODE") not in ("killed", "dumped"):
        return ""
    result, number = environ.get("MONITOR_SERVICE_RESULT", ""), environ.get("MONITOR_EXIT_STATUS", "")
    return f"the tick was killed by signal {number} (systemd calls it {result})"


class _Tick:
    """One tick, from its beginning to the last who is told of its end."""

    def __init__(self, settings: Settings, *, in_unit: bool) -> None:
        self._settings = settings
        self._in_unit = in_unit
        self._began = time.monotonic()
        self._key_expiry: dict[str, float] | None = None
        self._watched: WatchedRun | None = None
        if settings.pings:
            from ..monitoring.run import WatchedRun

            self._watched = WatchedRun(settings)

    def work(self, arguments: argparse.Namespace) -> backups.Outcome:
        """Do the work, and return what it came to.

        :raises BackupsError: it is no full success
        :raises _PausedError: the ticks are paused
        """
        settings, kept = self._settings, []

        def begin() -> None:  # with the lock: who pauses waits for that, and no tick begins after
            self._heed_pause()
            if self._watched:
                self._watched.begin()

        def keep(dataset: Path, manifest: Manifest) -> None:
            from ..rehearsal.queue import keep_if_due

            kept.append(arguments.environment and keep_if_due(settings, dataset, manifest))

        try:
            outcome = backups.tick(settings, keep=keep, begin=begin)
        finally:
            if any(kept) and not self._in_unit:  # else systemd starts one where it sees that something was kept
                from ..rehearsal.queue import start_process

                start_process(arguments.environment)
        report(outcome, arguments)
        if "gnupg" in sys.modules:  # this tick did some work anyway: an idle one starts no gpg
            self._look_at_keys()
        outcome.require_whole()
        return outcome

    def _heed_pause(self) -> None:
        state = State(self._settings.state_path)
        if (pause := state.load_pause()) is None:
            return
        if pause.stands(time.time()):
            raise _PausedError(pause)
        state.forget_pause(pause)
        log.info("ticks go on: they were %s", pause.sentence())

    def passed_over(self, pause: Pause) -> None:
        """Given the pause that stands, say in the log and in the metrics that this tick has done nothing."""
        log.info("%s", pause.sentence())
        settings, state = self._settings, State(self._settings.state_path)
        if settings.metrics_file and (last := state.load_tick()):
            from ..monitoring.metrics import write_metrics

            write_metrics(settings, state, last, pause)

    def _look_at_keys(self) -> None:
        from ..maintenance.keys import keys_of

        keys = keys_of(self._settings)
        self._key_expiry = {key["fingerprint"]: key["expires"] for key in keys}
        for key in keys:
            if key["problem"]:
                log.warning("%s", key["problem"])

    def ended(self, status: int, message: str, hint: str = "") -> None:
        """Remember how the tick has ended, and tell.

        :raises WatchdogError: a success could not be told
        """
        settings, state, watched = self._settings, State(self._settings.state_path), self._watched
        unheard = watched.end(0, message) if watched and status == 0 else None
        if unheard:
            status, message, hint = unheard.exit_status, unheard.message, unheard.hint
        # A failure is remembered first: at a shutdown there may be no time for more.
        before = state.load_tick()
        seconds = time.monotonic() - self._began
        after = next_tick(before, time.time(), status, message, hint, seconds=seconds, key_expiry=self._key_expiry)
        ours = state.store_tick(after)
        if ours and settings.metrics_file:
            from ..monitoring.metrics import write_metrics

            write_metrics(settings, state, after)
        if watched and status and not unheard:
            watched.fail(status, message, hint)
        # Only as the owner, for the owner may write what the commands are. Where nothing is new, nothing is imported.
        if ours and settings.on_failure_commands and (status or before is None or before.status):
            from ..monitoring import commands, left

            event = commands.event_between(before, after)
            if event and not (self._in_unit and left.leave(settings, before, after)):
                commands.run_commands(settings, event, before, after)
        if unheard:
            raise unheard
