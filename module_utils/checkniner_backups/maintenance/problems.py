"""What is wrong with what is remembered of ticks, archives and rehearsals.

Each problem has a kind, so that a program can tell which command mends it without reading its words.
"""

from __future__ import annotations

from typing import NamedTuple

from ..settings import Settings
from ..state.last_backup import LastBackup
from ..state.last_rehearsal import FAILED, LastRehearsal
from ..state.last_tick import LastTick
from ..state.pause import Pause
from ..system.timestamps import CLOCKS, human_age, human_duration

PAUSED, LATE, FAILING, UNTOLD = "paused", "late", "failing", "untold"
NOTHING_SAVED, SETTINGS_CHANGED, UNSIGNED, PARTIAL, SHRUNK = (
    "nothing-saved",
    "settings",
    "unsigned",
    "partial",
    "shrunk",
)
LOST, ALTERED, STORE = "lost", "altered", "store"
KEY, DISK, CLOCK, REHEARSAL, DRILL = "key", "disk", "clock", "rehearsal", "drill"

_DAY = 86400.0


class Problem(NamedTuple):
    """One thing that is wrong.

    :ivar kind: one of those above
    :ivar text: for people
    :ivar subject: what a command that mends it has to name, if anything: an archive's key, a key's fingerprint
    """

    kind: str
    text: str
    subject: str = ""


def of_ticks(settings: Settings, tick: LastTick | None, now: float, pause: Pause | None = None) -> list[Problem]:
    """Given how the last tick ended, the time, and the pause of the ticks, over or not, return what is wrong with them.

    No tick is late while ticks are paused, nor before the first one after that could be.
    """
    problems = [Problem(PAUSED, pause.sentence())] if pause and pause.stands(now) else []
    if tick is None:
        return problems
    excused = pause is not None and now - pause.until < settings.late_after
    if not excused and not -CLOCKS.total_seconds() < now - tick.at < settings.late_after:
        ended = human_age(now - tick.at)
        text = f"the last tick ended {ended}: is cron at work, and the owner's crontab in place, or the timer active?"
        problems.append(Problem(LATE, text))
    if tick.status and not tick.failing_since:
        problems.append(Problem(UNTOLD, f"the last tick was good, but {tick.message}"))
    elif tick.status:
        good = f"the last good one ended {human_age(now - tick.good_at)}" if tick.good_at else "none was good yet"
        hint = f". {tick.hint}" if tick.hint else ""
        text = (
            f"ticks have failed for {human_duration(now - tick.failing_since)} ({good}), with exit status"
            f" {tick.status}: {tick.message}{hint}"
        )
        problems.append(Problem(FAILING, text))
    return problems


def of_archives(settings: Settings, saved: LastBackup | None, now: float) -> list[Problem]:
    """Given what is remembered of the last archive and the time, return what is wrong with it."""
    if saved is None:
        return [Problem(NOTHING_SAVED, "nothing is known to be in the store")]
    problems = []
    if saved.archive_settings != settings.archive_settings():
        text = "the settings have changed since the last archive; the next tick saves"
        problems.append(Problem(SETTINGS_CHANGED, text))
    if saved.unsigned:
        problems.append(Problem(UNSIGNED, f"the newest archive is not signed: {saved.unsigned}"))
    problems += [
        Problem(PARTIAL, f"the newest archive lacks the fixture of {app}: {reason}")
        for app, reason in sorted(saved.missing.items())
    ]
    # Which business tables have suddenly lost rows in the last days.
    problems += [
        Problem(SHRUNK, f"{human_age(now - each.at)}, {each.sentence(table)}", each.key)
        for table, each in sorted(saved.shrunk.items())
        if each.stands(now)
    ]
    return problems


def of_rehearsals(settings: Settings, last: LastRehearsal | None, now: float) -> list[Problem]:
    """Given the last rehearsal and the time, return what is wrong with it."""
    if settings.rehearsal == "none":
        return []
    if last is None:
        return [Problem(REHEARSAL, "no restore was rehearsed on this server yet: checkniner-backups rehearse")]
    problems = []
    if last.verdict == FAILED:
        problems.append(Problem(REHEARSAL, last.sentence() + (f" ({last.hint})" if last.hint else "")))
    if now - last.at > 2 * settings.rehearse_every + _DAY:
        problems.append(Problem(REHEARSAL, f"the last rehearsal was {human_age(now - last.at)}"))
    return problems
