"""What each command of the command line does: call a use case, show what came out."""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import asdict, replace
from itertools import islice

from ..backup import tick as backups
from ..errors import RehearsalError
from ..settings import Settings
from ..state.folder import State
from ..system.text import human_size, table
from .terminal import Progress, as_json, say

log = logging.getLogger(__name__)


def backup(settings: Settings, arguments: argparse.Namespace) -> None:
    """A backup by hand. A pause does not hold it up."""
    if (pause := State(settings.state_path).load_pause()) and pause.stands(time.time()):
        log.warning("ticks are %s; this backup is made all the same", pause.sentence())
    outcome = backups.tick(settings, force=arguments.force)
    report(outcome, arguments)
    outcome.require_whole()


def list_archives(settings: Settings, arguments: argparse.Namespace) -> None:
    """The archives in the store."""
    from ..storage.catalog import all_archives
    from ..storage.s3 import Store

    found = list(islice(all_archives(Store(settings.store)), arguments.limit or None))
    if arguments.json:
        say(as_json([{"key": each.key, "stamp": each.stamp.isoformat(), "size": each.size} for each in found]))
    else:
        rows = [[f"{each.stamp:%Y-%m-%d %H:%M:%S} UTC", human_size(each.size), each.key] for each in found]
        say(table(rows, ["WHEN", "SIZE", "KEY"]))


def fetch(settings: Settings, arguments: argparse.Namespace) -> None:
    """Download one archive."""
    from ..storage.choice import choose
    from ..storage.s3 import Store

    store = Store(settings.store)
    archive = choose(store, arguments.archive or "", arguments.at or "")
    progress = Progress(archive.name, archive.size)
    path = arguments.to / archive.name
    stored = store.download(archive.key, path, progress)
    progress.end()
    if arguments.json:
        say(as_json({"key": archive.key, "path": str(path), "size": stored.size, "sha256": stored.sha256}))
    else:
        say(f"{path} ({human_size(stored.size)})")


def clean(settings: Settings, arguments: argparse.Namespace) -> None:
    """Remove old local archives, and tell those who are to know."""
    from ..maintenance.retention import clean as clean_up
    from ..monitoring.events import CLEAN
    from ..monitoring.run import told

    with told(settings, CLEAN) as endings:
        cleaned = clean_up(settings, dry_run=arguments.dry_run)
        verb = "would remove" if arguments.dry_run else "removed"
        sentence = f"{verb} {len(cleaned.removed)} local archives, kept {len(cleaned.kept)}"
        say(as_json(cleaned) if arguments.json else sentence)
        if not arguments.dry_run:
            endings.append((0, sentence))


def rehearse(settings: Settings, arguments: argparse.Namespace) -> int:
    """Rehearse a restore on this machine. What would fail has an exit status of its own."""
    from ..monitoring.events import REHEARSAL
    from ..monitoring.run import told
    from ..rehearsal.queue import due
    from ..rehearsal.rehearse import rehearse as run_rehearsal
    from ..state.last_rehearsal import REHEARSED

    if settings.rehearsal == "none":
        say("null" if arguments.json else "restores are not rehearsed here: checkniner_backups_rehearsal is none")
        return 0
    state = State(settings.state_path)
    if arguments.kept and (pause := state.load_pause()) and pause.stands(time.time()):
        log.info("%s", pause.sentence())
        return 0
    done = state.load_rehearsal()
    if done is None or not arguments.if_due or due(done, done.schema, time.time(), settings.rehearse_every):
        with told(settings, REHEARSAL) as endings:
            done = run_rehearsal(settings, kept=arguments.kept)
            if done:
                endings.append((0 if done.verdict == REHEARSED else RehearsalError.exit_status, done.sentence()))
    if done is None:  # nothing was kept
        return 0
    log.info("%s", done.sentence())
    if not arguments.kept:
        say(as_json({**asdict(done), "sentence": done.sentence()}) if arguments.json else done.sentence())
    if done.hint and not arguments.json:
        log.error("HINT: %s", done.hint)
    return 0 if done.verdict == REHEARSED else RehearsalError.exit_status


def check(settings: Settings, arguments: argparse.Namespace) -> None:
    """Try everything that a tick needs."""
    from ..maintenance.check import check as try_everything

    lines = try_everything(settings)
    say(as_json(lines) if arguments.json else "\n".join(lines))


def execute(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run a command in the application's environment; its exit status is ours."""
    from ..django_app.environment import check_user, run_command
    from ..django_app.sources import application_environment
    from ..errors import SettingsError

    check_user()
    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        raise SettingsError("no command is given", "write it after two dashes: exec -- python manage.py check")
    # The application's own role, not the one that backups read as: such a command may want to write.
    status: int = run_command(argv, settings.application_path, application_environment(settings), said=None)
    return status


def pause(settings: Settings, arguments: argparse.Namespace) -> None:
    """Pause the ticks, and wait until none is at work."""
    from ..django_app.environment import check_user
    from ..state.folder import PATIENCE
    from ..state.pause import new_pause

    check_user()
    state, wanted = State(settings.state_path), new_pause(arguments.until, arguments.reason, time.time())
    state.store_pause(wanted)
    with state.lock(PATIENCE):
        pass
    say(as_json(wanted) if arguments.json else f"ticks are {wanted.sentence()}")


def resume(settings: Settings, arguments: argparse.Namespace) -> None:
    """End a pause. It is remembered until the next tick: none is late before."""
    from ..django_app.environment import check_user

    check_user()
    state, now = State(settings.state_path), time.time()
    pause = state.load_pause()
    stood = pause is not None and pause.stands(now)
    if pause is not None and stood:
        state.store_pause(replace(pause, until=now))
    else:
        state.forget_pause(pause)
    sentence = "ticks go on with the next one" if stood else "ticks are not paused"
    say(as_json({"resumed": stood}) if arguments.json else sentence)


def report(outcome: backups.Outcome, arguments: argparse.Namespace) -> None:
    """Given what a tick came to, show it."""
    log.info("%s", outcome.verdict)
    if outcome.key:
        log.info("saved %s (%s)", outcome.key, human_size(outcome.size))
    if arguments.json:
        say(
            as_json(
                {
                    "saved": bool(outcome.key),
                    "key": outcome.key,
                    "size": outcome.size,
                    "sha256": outcome.sha256,
                    "check_level": outcome.verdict.level.key,
                    "look": outcome.verdict.level.former_key,
                    "reason": outcome.verdict.reason,
                    "missing": dict(outcome.missing),
                }
            )
        )
