"""What this server knows about its backups: for people who ask, and for monitoring. Reads only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import BackupsError, StoreError
from ..settings import Settings
from ..state.folder import State
from ..state.last_backup import LastBackup
from ..state.last_rehearsal import IMPOSSIBLE, LastRehearsal
from ..state.last_tick import LastTick
from ..state.pause import Pause
from . import problems as wrong
from .keys import keys_of
from .machine import Disk, disks, versions
from .problems import Problem


@dataclass(frozen=True)
class Status:
    """Ages are in seconds; None is "not known". `found` is empty where all is well.

    :param origin: fingerprint of the key that signs this server's archives; empty where there is none
    :param notes: what is outside of the archives, or may change unnoticed: to be known, not to be mended
    :param stored: whether the newest archive is in the store as remembered, in words; empty where it was not asked
    :param clock_ahead: seconds by which the store's clock is ahead of this machine's; None where it was not asked
    :param pause: of the ticks, while it stands
    """

    last_key: str | None
    last_size: int | None
    last_saved_age: float | None
    last_full_check_age: float | None
    keys: tuple[dict[str, Any], ...]
    local_archives: int
    found: tuple[Problem, ...]
    last_good_drill_age: float | None = None
    notes: tuple[str, ...] = ()
    last_rehearsal: LastRehearsal | None = None
    last_rehearsal_age: float | None = None
    last_tick: LastTick | None = None
    last_tick_age: float | None = None
    last_good_tick_age: float | None = None
    origin: str = ""
    stored: str = ""
    clock_ahead: float | None = None
    disks: tuple[Disk, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    pause: Pause | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """The texts of what is wrong, the most important one first."""
        return tuple(each.text for each in self.found)

    def sentence(self) -> str:
        """Return the one thing to know first."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"NOT WELL: {self.problems[0]}{more}"
        return f"All is well: the newest archive is {self.last_key}"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can express it: `problems` are texts, `found` the same with their kinds."""
        return {
            **asdict(self),
            "found": [each._asdict() for each in self.found],
            "well": not self.found,
            "sentence": self.sentence(),
            "problems": list(self.problems),
        }


def status(settings: Settings, *, drill: bool = False, store: bool = False) -> Status:
    """Given the settings, return what is known. Without an option, neither the database nor the store is asked.

    :param drill: ask the store when the last good drill was; its record is listed, not read
    :param store: ask the store whether it holds the newest archive, and what time it is there
    """
    state, now = State(settings.state_path), time.time()
    saved, tick, rehearsal, pause = state.load(), state.load_tick(), state.load_rehearsal(), state.load_pause()
    keys = tuple(keys_of(settings))
    places = disks(settings, saved.size if saved else 0)
    found = wrong.of_ticks(settings, tick, now, pause)
    stored, clock_ahead, drilled = "", None, None
    if store:
        from .stored import ask

        asked = ask(settings, saved)
        stored, clock_ahead = asked.newest, asked.clock_ahead
        found += asked.problems
    found += [problem for each in places if (problem := each.problem())]
    found += [Problem(wrong.KEY, key["problem"], key["fingerprint"]) for key in keys if key["problem"]]
    found += wrong.of_archives(settings, saved, now)
    found += wrong.of_rehearsals(settings, rehearsal, now) if saved else []
    if drill:
        drilled, problem = _last_drill(settings, now)
        found += [problem] if problem and problem not in found else []
    folder = settings.archives_path
    return Status(
        last_key=saved.key if saved else None,
        last_size=saved.size if saved else None,
        last_saved_age=now - saved.at if saved else None,
        last_full_check_age=now - saved.full_check_at if saved else None,
        keys=keys,
        local_archives=len(list(folder.glob("*T*.tar.gz*"))) if folder.is_dir() else 0,
        found=tuple(found),
        last_good_drill_age=drilled,
        notes=(*(_notes(saved) if saved else ()), *_rehearsal_notes(settings, rehearsal), *_history_notes(settings)),
        last_rehearsal=rehearsal,
        last_rehearsal_age=now - rehearsal.at if rehearsal else None,
        origin=_origin(settings),
        last_tick=tick,
        last_tick_age=now - tick.at if tick else None,
        last_good_tick_age=now - tick.good_at if tick and tick.good_at else None,
        stored=stored,
        clock_ahead=clock_ahead,
        disks=places,
        versions=versions(),
        pause=pause if pause and pause.stands(now) else None,
    )


def _origin(settings: Settings) -> str:
    from ..openssh.signing import public_key

    try:
        key = public_key(settings.state_path)
    except BackupsError as error:
        return error.message
    return key.fingerprint if key else ""


def _rehearsal_notes(settings: Settings, last: LastRehearsal | None) -> tuple[str, ...]:
    if settings.rehearsal == "none":
        return ("restores are not rehearsed on this server: checkniner_backups_rehearsal is none",)
    return (last.sentence(),) if last and last.verdict == IMPOSSIBLE else ()


def _history_notes(settings: Settings) -> tuple[str, ...]:
    from ..history.record import last_failure

    why = last_failure(settings.state_path)
    return (why,) if why else ()


def _notes(saved: LastBackup) -> tuple[str, ...]:
    from ..storage.arrival import UNVERIFIED

    doubt = f"whether the last archive in the store is what was sent cannot be known: {UNVERIFIED}"
    inexact = (
        f"the fixture of {app} is not exact, the SQL is: {'; '.join(lines)}"
        for app, lines in sorted(saved.inexact.items())
    )
    return (*saved.warnings, *inexact, *(() if saved.verified else (doubt,)))


def _last_drill(settings: Settings, now: float) -> tuple[float | None, Problem | None]:
    """Return how many seconds ago the last good drill was, and what is wrong with that."""
    from ..drill.record import last_good
    from ..storage.s3 import Store

    try:
        timestamp = last_good(Store(settings.store))
    except StoreError as error:
        return None, Problem(wrong.STORE, f"the store cannot be asked for drills: {error.message}. {error.hint}")
    if timestamp is None:
        text = "no good drill is known: run drill.yml on the machine that holds the private key"
        return None, Problem(wrong.DRILL, text)
    return now - timestamp.timestamp(), None
