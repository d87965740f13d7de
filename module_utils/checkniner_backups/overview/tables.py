"""The servers as lines for a terminal (one table, and what needs a human first), and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ..system.text import table
from ..system.timestamps import human_age, iso
from .hosts import Host, Told
from .needs import Need

WELL, NOT_ASKED = "well", "not asked"
_HEAD = ["HOST", "IS", "NEWEST ARCHIVE", "ITS DATA", "LAST GOOD TICK", "REHEARSAL", "KEY"]
_WIDEST = 60
_SHOWN = 20


def sentence(hosts: Sequence[Host], found: Sequence[Need]) -> str:
    """Given the servers and what needs a human, return the one thing to know first."""
    urgent = [need for need in found if need.urgent]
    if urgent:
        more = f" (and {len(urgent) - 1} more)" if len(urgent) > 1 else ""
        return f"NOT WELL: {urgent[0].sentence()}{more}"
    count = f"{len(hosts)} host{'s' if len(hosts) != 1 else ''}"
    if not any(host.told for host in hosts):
        return f"The store holds archives of {count}; no server was asked"
    return f"All is well on {count}"


def state_of(host: Host, found: Sequence[Need]) -> str:
    """Given a server and what needs a human, return how the server is: the most urgent of its needs, or a word."""
    first = next((need for need in found if need.host == host.name and need.urgent), None)
    return first.text if first else WELL if host.told else NOT_ASKED


def status_lines(hosts: Sequence[Host], found: Sequence[Need]) -> list[str]:
    """Given the servers and what needs a human, return the table of what the servers say of themselves."""
    rows = [[host.name, _cut(state_of(host, found)), *_said(host.told)] for host in hosts]
    return table(rows, _HEAD).splitlines()


def store_lines(hosts: Sequence[Host]) -> list[str]:
    """Given the servers, return what the store holds of each."""
    lines = []
    for host in hosts:
        if host.stored:
            lines += ["", f"{host.name}:", *(f"  {line}" for line in host.stored.lines(_SHOWN))]
        elif host.store_fault:
            lines += ["", f"{host.name}:", f"  the store could not be asked: {host.store_fault}"]
    return lines


def need_lines(found: Sequence[Need]) -> list[str]:
    """Given what needs a human, return it as lines, each with the commands that mend it."""
    lines = []
    for number, need in enumerate(found, start=1):
        mark = "" if need.urgent else " (good to do)"
        lines += ["", f"{number}. {need.sentence()}{mark}", *(f"   {command}" for command in need.commands)]
    return lines


def key_of(told: Told) -> str:
    """Given what a server says, return how long the first of its keys to end is still of use."""
    if not told.key_expiry:
        return "none"
    if any(not usable for _, _, usable in told.key_expiry):
        return "cannot be used"
    days = min((each for _, each, _ in told.key_expiry if each is not None), default=None)
    return "does not expire" if days is None else f"expires in {days:.0f} days"


def as_json(hosts: Sequence[Host], found: Sequence[Need], now: datetime) -> str:
    """Given the servers, what needs a human, and the time (aware, UTC), return everything as JSON."""
    value = {
        "made_at": iso(now),
        "well": not any(need.urgent for need in found),
        "sentence": sentence(hosts, found),
        "needs": [need.as_dict() for need in found],
        "hosts": {host.name: _plain(host) for host in hosts},
    }
    return json.dumps(value, indent=1) + "\n"


def _plain(host: Host) -> dict[str, Any]:
    return {
        "status": asdict(host.told) if host.told else None,
        "fault": host.fault[1] if host.fault else "",
        "stored": host.stored.as_dict() if host.stored else None,
        "store_fault": host.store_fault,
    }


def _said(told: Told | None) -> list[str]:
    if told is None:
        return ["?"] * 5
    rehearsal = f"{told.rehearsal}, {human_age(told.rehearsal_age)}" if told.rehearsal else "none known"
    return [
        told.last_key or "none known",
        human_age(told.archive_age),
        human_age(told.good_tick_age),
        rehearsal,
        key_of(told),
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
