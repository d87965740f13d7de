"""The command `status`: what is known, the most important thing first."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from ..system.text import human_size, table
from .terminal import as_json, say

if TYPE_CHECKING:
    from ..maintenance.machine import Disk
    from ..maintenance.status import Status
    from ..state.last_tick import LastTick

NOT_WELL = 18
"""Exit status of `status` where something is wrong: no other command has it."""
EXIT_STATUSES = {
    0: "all is well",
    1: "a fault of ours (please report it)",
    2: "the command line is wrong",
    3: "there are no settings that can be read: nothing is known",
    NOT_WELL: "something is wrong; the first line says what, and a store that cannot be asked is such a thing",
}
"""What the command ends with."""


def status(settings: Settings, arguments: argparse.Namespace) -> int:
    """What is known, the most important thing first. The exit status tells a monitor that something is wrong."""
    from ..maintenance.status import status as known

    found = known(settings, drill=arguments.drill, store=arguments.store)
    if arguments.json:
        say(as_json(found.as_dict()))
    else:
        say(found.sentence() + "\n")
        say(table(_rows(found, arguments), ["WHAT", "IS", ""]))
        for note in found.notes:
            say(f"NOTE: {note}")
        for problem in found.problems:
            say(f"PROBLEM: {problem}")
    return NOT_WELL if found.problems else 0


def _rows(found: Status, arguments: argparse.Namespace) -> list[list[str]]:
    from ..system.timestamps import human_age  # an idle tick needs none of this

    rehearsal = found.last_rehearsal
    return [
        [
            "last archive",
            found.last_key or "none known",
            "" if found.last_size is None else human_size(found.last_size),
        ],
        *([["in the store", found.stored, ""], ["clock", _clock(found.clock_ahead), ""]] if arguments.store else []),
        ["its data is of", human_age(found.last_saved_age), ""],
        ["last tick", human_age(found.last_tick_age), _end(found.last_tick)],
        ["last full comparison", human_age(found.last_full_check_age), ""],
        ["last rehearsal", human_age(found.last_rehearsal_age), rehearsal.verdict if rehearsal else ""],
        ["local archives", str(found.local_archives), ""],
        ["signs as", found.origin or "nobody: no signing key", ""],
        *([["last good drill", human_age(found.last_good_drill_age), ""]] if arguments.drill else []),
        *([f"key {key['fingerprint'][-16:]}", _life(key), ""] for key in found.keys),
        *(_disk(each) for each in found.disks),
    ]


def _disk(disk: Disk) -> list[str]:
    return ["free disk", f"{human_size(disk.free)}, {human_size(disk.needed)} needed", ", ".join(disk.folders)]


def _clock(ahead: float | None) -> str:
    if ahead is None:
        return "not told by the store"
    return f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the store's"


def _end(tick: LastTick | None) -> str:
    return "" if tick is None else "well" if tick.status == 0 else f"exit status {tick.status}"


def _life(key: Mapping[str, Any]) -> str:
    if not key["usable"]:
        return "cannot be used"
    days = key["days_left"]
    return "does not expire" if days is None else f"expires in {days:.0f} days"
