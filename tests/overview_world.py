"""Servers as a playbook finds them: well, ill, unreachable, and hostile; for the tests of the overview and its page."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta, timezone
from typing import Any

from checkniner_backups.drill.record import BAD, DRILLED, GOOD, REHEARSED_THERE, Trial
from checkniner_backups.overview.hosts import Host, host_of
from checkniner_backups.overview.needs import Commands, Need, needs
from checkniner_backups.overview.stored import Stored, longest_gap
from checkniner_backups.storage.catalog import Archive, file_name

NOW = datetime(2026, 11, 22, 19, 35, 12, tzinfo=timezone.utc)
COMMANDS = Commands(["inventory.yml"], {"setup": "playbooks/setup-backups.yml"})


def stored(days: int = 90, *, gap: int = 9, trials: bool = True, prefix: str = "shop/", seed: int = 1) -> Stored:
    """Return what a store holds of a server: some archives a day, and none for `gap` days in the middle."""
    chance = random.Random(seed)
    archives = []
    for day in range(days):
        if days // 2 < day <= days // 2 + gap or (day % 7 in (5, 6) and day):
            continue
        for _ in range(chance.randrange(1, 5)):
            stamp = (NOW - timedelta(days=day, seconds=chance.randrange(1, 40_000))).replace(microsecond=0)
            size = int(4_600_000 * (1 - day / 200) * chance.uniform(0.93, 1.0))
            archives.append(Archive(prefix + file_name(stamp, True), stamp, size, True))
    archives.sort(key=lambda each: each.stamp, reverse=True)
    tried = [
        Trial(NOW - timedelta(days=day), kind, verdict)
        for day, kind, verdict in (
            (2, REHEARSED_THERE, GOOD), (9, REHEARSED_THERE, GOOD), (16, REHEARSED_THERE, BAD),
            (23, REHEARSED_THERE, GOOD), (12, DRILLED, GOOD), (43, DRILLED, BAD), (44, DRILLED, GOOD),
            (75, DRILLED, GOOD),
        )
    ]  # fmt: skip
    tried.sort(key=lambda each: each.at, reverse=True)
    return Stored(
        NOW, tuple(archives), trials=tuple(tried) if trials else (), end=NOW,
        gap=longest_gap([each.stamp for each in archives], NOW),
    )  # fmt: skip


def answer(key: str, *problems: dict[str, str], **changes: Any) -> str:
    """Return what `status --json` of a server prints."""
    return json.dumps({
        "last_key": key, "last_size": 4_500_000, "last_saved_age": 5000, "last_good_tick_age": 130,
        "found": list(problems), "problems": [each["text"] for each in problems],
        "last_rehearsal": {"verdict": "rehearsed"}, "last_rehearsal_age": 2 * 86400,
        "keys": [{"fingerprint": "A" * 40, "days_left": None, "usable": True}],
        "disks": [{"free": 31 << 30}], "versions": {"engine": "1.2.0"}, **changes,
    })  # fmt: skip


def asked(name: str, output: str, status: int = 0) -> dict[str, Any]:
    """Return what the playbook has found out of a server that answered."""
    return {"name": name, "unreachable": "", "installed": True, "status": status, "output": output, "errors": ""}


def fleet() -> list[Host]:
    """Return four servers: one well, one whose ticks fail, one that is gone, and one without backups."""
    well, ill = stored(), stored(30, gap=4, prefix="club/", seed=2)
    failing = {
        "kind": "failing", "subject": "",
        "text": "ticks have failed for 3 h (the last good one ended 3 h ago), with exit status 5: cannot connect to"
        " PostgreSQL: connection refused. Is the server running?",
    }  # fmt: skip
    return [
        host_of(
            asked("shop.example.org", answer(well.archives[0].key, last_saved_age=4210)) | {"stored": well.as_dict()}
        ),
        host_of(
            asked(
                "club.example.org",
                answer(ill.archives[0].key, failing, last_good_tick_age=10_900, last_saved_age=11_300),
                18,
            )
            | {"stored": ill.as_dict()}
        ),
        host_of(
            {"name": "old.example.org", "unreachable": "ssh: connect to host old.example.org port 22: No route to host"}
            | {"stored": stored(60, gap=2, prefix="old/", trials=False, seed=3).as_dict()}
        ),
        host_of({"name": "new.example.org", "unreachable": "", "installed": False, "store_failure": "no such bucket"}),
    ]


def of_fleet() -> list[Need]:
    """Return what needs a human on these servers."""
    return needs(fleet(), COMMANDS)
