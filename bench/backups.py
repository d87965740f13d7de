"""The ways to back up, and one measurement of each after the other, in rounds: all see the same data and machine."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .meter import Measure, Summary
from .site import Site

log = logging.getLogger(__name__)

Say = Callable[[str], bool]

OURS, OLD, PIPE, DBBACKUP, RESTIC = "ours", "old", "pipe", "dbbackup", "restic"
IDLE, NOISE, CHANGED = "idle", "noise", "changed"


@dataclass(frozen=True)
class Way:
    """A way to back up: its command, and for each scenario what its output must hold to count as done.

    A way that never looks for changes knows the scenario `changed` alone: it does the same at every tick.
    """

    name: str
    argv: Callable[[Site], list[str]]
    says: Mapping[str, str]
    environment: Callable[[Site], dict[str, str]] = field(default=lambda site: site.environment)

    def run(self, site: Site, scenario: str) -> Measure:
        """Run it once and return what it cost."""
        machine = site.machine
        return machine.meter.run(
            self.argv(site),
            machine.owner,
            self.environment(site),
            site.scratch,
            lambda output: self.says[scenario] in output,
        )


def ways() -> list[Way]:
    """Return the ways that this machine has."""
    found = [
        Way(
            OURS,
            lambda site: [
                str(site.server.command), "--environment", str(site.server.environment_file), "run", "--json",
            ],
            {IDLE: '"check_level": "snapshot"', NOISE: '"check_level": "rows"', CHANGED: '"saved": true'},
            lambda site: {},  # noqa: ARG005 # as cron: nothing
        ),
        Way(
            DBBACKUP,
            lambda site: [
                str(site.machine.dbbackup / "bin" / "python"), str(site.application.path / "manage.py"),
                "dbbackup", "--compress", "--encrypt",
            ],
            {CHANGED: "Writing file"},
            _dbbackup_environment,
        ),
        Way(PIPE, lambda site: [str(site.machine.ways / "pipeline.sh")], {CHANGED: "saved"}),
    ]  # fmt: skip
    if shutil.which("restic"):
        found.append(
            Way(RESTIC, lambda site: [str(site.machine.ways / "restic.sh")], {CHANGED: "saved"}, _restic_environment)
        )
    else:
        log.warning("restic is not installed: it is left out")
    old = Way(
        OLD,
        lambda site: [str(site.machine.ways / "old-way.sh")],
        {IDLE: "unchanged", NOISE: "unchanged", CHANGED: "saved"},
        _old_environment,
    )
    return [*found, old]


def measure(site: Site, every: list[Way]) -> dict[str, dict[str, Summary]]:
    """Given a site, return for each scenario what each way cost.

    The first run of each is the warm-up. It tells how often to measure: 5 times (15 times what takes less than a
    second), 3 times what takes longer than 10 s, once what takes longer than 40 s. Of that, an unchanged tick needs no
    warm-up: the changed one was just before it.
    """
    site.change()
    first = {way.name: _logged(site, way, CHANGED) for way in every}
    result = {CHANGED: _rounds(site, every, CHANGED, first, site.change)}
    lookers = [way for way in every if IDLE in way.says]
    for scenario, before in ((IDLE, _nothing), (NOISE, site.touch)):
        before()
        first = {way.name: _logged(site, way, scenario) for way in lookers}
        result[scenario] = _rounds(site, lookers, scenario, first, before)
    return result


def growth(sites: list[Site], every: list[Way]) -> dict[int, Summary]:
    """Given sites of several sizes, return what an idle tick of ours costs in each, measured in turns.

    A difference of some percent would otherwise tell more about the minutes between two sizes than about the sizes.
    """
    ours = next(way for way in every if way.name == OURS)
    for site in sites:
        site.server.tick()  # what the restores left behind is looked at
    runs: dict[int, list[Measure]] = {site.rows: [] for site in sites}
    for number in range(16):
        for site in sites:
            found = ours.run(site, IDLE)
            if number:  # the first is the warm-up
                runs[site.rows].append(found)
    return {rows: Summary(tuple(found)) for rows, found in runs.items()}


def repetitions(seconds: float) -> int:
    """Given how long a run takes, return how often to measure it; 0: its first run counts."""
    if seconds < 1:
        return 15  # a tenth of a second varies more, in proportion
    if os.environ.get("BENCH_QUICK") == "1" and seconds > 10:
        return 0
    return 5 if seconds <= 10 else 3 if seconds <= 40 else 0


def _nothing() -> None:
    pass


def _rounds(
    site: Site, every: list[Way], scenario: str, first: Mapping[str, Measure], before: Callable[[], None]
) -> dict[str, Summary]:
    wanted = {way.name: repetitions(first[way.name].wall) for way in every}
    if scenario == CHANGED:
        wanted = {name: max(1, times) for name, times in wanted.items()}
    runs: dict[str, list[Measure]] = {way.name: [] for way in every}
    for left in range(max(wanted.values()), 0, -1):
        before()
        for way in every:
            if left <= wanted[way.name]:  # all take part in the last round: none has missed a change afterwards
                runs[way.name].append(_logged(site, way, scenario))
    return {name: Summary(tuple(found) or (first[name],)) for name, found in runs.items()}


def _logged(site: Site, way: Way, scenario: str) -> Measure:
    result = way.run(site, scenario)
    log.info(
        "%9d rows  %-8s %-9s wall %7.2f s  cpu %7.2f s  server %6.2f s  %5.0f MiB  %3d requests  %9d bytes",
        site.rows, scenario, way.name, result.wall, result.cpu, result.server_cpu, result.peak_mib, result.requests,
        result.stored,
    )  # fmt: skip
    return result


def _old_environment(site: Site) -> dict[str, str]:
    apps = site.application.shell("from django.apps import apps; print(*(a.label for a in apps.get_app_configs()))")
    return {**site.environment, "APPS": apps.strip()}


def _dbbackup_environment(site: Site) -> dict[str, str]:
    path = f"{site.machine.ways}:{site.application.path}"
    settings = {"DJANGO_SETTINGS_MODULE": "dbbackup_settings", "PYTHONPATH": path}
    return {**site.environment, **site.application.environment, **settings}


def _restic_environment(site: Site) -> dict[str, str]:
    repository = f"s3:{site.machine.store.endpoint_url}/{site.environment['S3_BUCKET_NAME']}/restic-{site.rows}"
    cache = {"RESTIC_CACHE_DIR": str(site.scratch / "cache"), "RESTIC_PASSWORD": site.machine.password}
    return {**site.environment, "RESTIC_REPOSITORY": repository, **cache}
