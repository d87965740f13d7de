"""What this server knows about its backups: for people who ask, and for monitoring. Reads only."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ..errors import BackupsError
from ..last_backup import LastBackup
from ..last_rehearsal import FAILED, IMPOSSIBLE, LastRehearsal
from ..last_tick import LastTick
from ..settings import Settings
from ..state import State
from ..system.timestamps import human_age, human_duration

_DAY = 86400.0
_CLOCKS = 60.0
"""Seconds by which a clock may have gone back since a tick."""
WARN_DAYS = 30
"""Days before a key's end from which on every tick warns."""


@dataclass(frozen=True)
class Status:
    """Ages are in seconds; None is "not known". `problems` is empty where all is well.

    :param origin: fingerprint of the key that signs this server's archives; empty where there is none
    :param notes: what is outside of the archives, or may change unnoticed: to be known, not to be mended
    """

    last_key: str | None
    last_size: int | None
    last_saved_age: float | None
    last_full_check_age: float | None
    keys: tuple[dict[str, Any], ...]
    local_archives: int
    problems: tuple[str, ...]
    last_good_drill_age: float | None = None
    notes: tuple[str, ...] = ()
    last_rehearsal: LastRehearsal | None = None
    last_rehearsal_age: float | None = None
    last_tick: LastTick | None = None
    last_tick_age: float | None = None
    last_good_tick_age: float | None = None
    origin: str = ""

    def sentence(self) -> str:
        """Return the one thing to know first."""
        if self.problems:
            more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
            return f"NOT WELL: {self.problems[0]}{more}"
        return f"All is well: the newest archive is {self.last_key}"


def status(settings: Settings, *, drill: bool = False) -> Status:
    """Given the settings, return what is known without asking the database or the store.

    :param drill: ask the store when the last good drill was; its record is listed, not read
    :raises StoreError: the store cannot be asked
    """
    saved = State(settings.state_path).load()
    now = time.time()
    problems = list(key_problems(settings))
    if saved is None:
        problems.append("nothing is known to be in the store")
    elif saved.archive_settings != settings.archive_settings():
        problems.append("the settings have changed since the last archive; the next tick saves")
    if saved and saved.unsigned:
        problems.append(f"the newest archive is not signed: {saved.unsigned}")
    if saved:
        problems += [
            f"the newest archive lacks the fixture of {app}: {reason}" for app, reason in sorted(saved.missing.items())
        ]
        problems += shrink_problems(saved, now)
    tick = State(settings.state_path).load_tick()
    problems = _tick_problems(settings, tick, now) + problems
    rehearsal = State(settings.state_path).load_rehearsal()
    problems += _rehearsal_problems(settings, rehearsal, now) if saved else []
    drilled = _last_drill(settings, now) if drill else None
    if drill and drilled is None:
        problems.append("no good drill is known: run drill.yml on the machine that holds the private key")
    folder = settings.archives_path
    return Status(
        last_key=saved.key if saved else None,
        last_size=saved.size if saved else None,
        last_saved_age=now - saved.at if saved else None,
        last_full_check_age=now - saved.full_check_at if saved else None,
        keys=tuple(keys_of(settings)),
        local_archives=len(list(folder.glob("*T*.tar.gz*"))) if folder.is_dir() else 0,
        problems=tuple(problems),
        last_good_drill_age=drilled,
        notes=(*(_notes(saved) if saved else ()), *_rehearsal_notes(settings, rehearsal)),
        last_rehearsal=rehearsal,
        last_rehearsal_age=now - rehearsal.at if rehearsal else None,
        origin=_origin(settings),
        last_tick=tick,
        last_tick_age=now - tick.at if tick else None,
        last_good_tick_age=now - tick.good_at if tick and tick.good_at else None,
    )


def _origin(settings: Settings) -> str:
    from ..openssh.signing import public_key

    try:
        key = public_key(settings.state_path)
    except BackupsError as error:
        return error.message
    return key.fingerprint if key else ""


def shrink_problems(saved: LastBackup, now: float) -> list[str]:
    """Given the last archive, return which business tables have suddenly lost rows in the last days, one text each."""
    return [
        f"{human_age(now - each.at)}, {each.sentence(table)}"
        for table, each in sorted(saved.shrunk.items()) if each.stands(now)
    ]  # fmt: skip


def _tick_problems(settings: Settings, tick: LastTick | None, now: float) -> list[str]:
    """Return what is wrong with the ticks, one text each."""
    if tick is None:
        return []
    problems = []
    if not -_CLOCKS < now - tick.at < settings.late_after:
        problems.append(
            f"the last tick ended {human_age(now - tick.at)}: is cron at work, and the owner's crontab in place?"
        )
    if tick.status and not tick.failing_since:
        problems.append(f"the last tick was good, but {tick.message}")
    elif tick.status:
        good = f"the last good one ended {human_age(now - tick.good_at)}" if tick.good_at else "none was good yet"
        hint = f". {tick.hint}" if tick.hint else ""
        problems.append(
            f"ticks have failed for {human_duration(now - tick.failing_since)} ({good}), with exit status"
            f" {tick.status}: {tick.message}{hint}"
        )
    return problems


def _rehearsal_problems(settings: Settings, last: LastRehearsal | None, now: float) -> list[str]:
    """Return what is wrong with the last rehearsal, one text each."""
    if settings.rehearsal == "none":
        return []
    if last is None:
        return ["no restore was rehearsed on this server yet: checkniner-backups rehearse"]
    problems = [last.sentence() + (f" ({last.hint})" if last.hint else "")] if last.verdict == FAILED else []
    if now - last.at > 2 * settings.rehearse_every + _DAY:
        problems.append(f"the last rehearsal was {human_age(now - last.at)}")
    return problems


def _rehearsal_notes(settings: Settings, last: LastRehearsal | None) -> tuple[str, ...]:
    if settings.rehearsal == "none":
        return ("restores are not rehearsed on this server: checkniner_backups_rehearsal is none",)
    return (last.sentence(),) if last and last.verdict == IMPOSSIBLE else ()


def _notes(saved: LastBackup) -> tuple[str, ...]:
    from ..storage.arrival import UNVERIFIED

    doubt = f"whether the last archive in the store is what was sent cannot be known: {UNVERIFIED}"
    inexact = (
        f"the fixture of {app} is not exact, the SQL is: {'; '.join(lines)}"
        for app, lines in sorted(saved.inexact.items())
    )
    return (*saved.warnings, *inexact, *(() if saved.verified else (doubt,)))


def _last_drill(settings: Settings, now: float) -> float | None:
    from ..drill.record import last_good
    from ..storage.s3 import Store

    timestamp = last_good(Store(settings.store))
    return now - timestamp.timestamp() if timestamp else None


def key_problems(settings: Settings) -> list[str]:
    """Given the settings, return what is or will soon be wrong with the keys, one text each."""
    return [key["problem"] for key in keys_of(settings) if key["problem"]]


def keys_of(settings: Settings) -> list[dict[str, Any]]:
    """Given the settings, return what is known of each key.

    `expires` is in seconds since the epoch, UTC; 0 for never, or where the key cannot be used.
    """
    if not settings.encryption:
        return []
    from ..openpgp.keyring import Keyring

    found = []
    for fingerprint in settings.recipients:
        days, expires, problem, usable = None, 0.0, "", False
        try:
            key = Keyring(settings.gnupg_home).usable_for_encryption(fingerprint)
            days, expires = key.days_left, key.expires.timestamp() if key.expires else 0.0
            usable = True
            if days is not None and days < WARN_DAYS:
                problem = f"key {fingerprint} expires in {days:.0f} days: backups will stop then"
        except BackupsError as error:
            problem = error.message
        found.append(
            {"fingerprint": fingerprint, "days_left": days, "expires": expires, "usable": usable, "problem": problem}
        )
    return found
