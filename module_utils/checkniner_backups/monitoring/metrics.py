"""Metrics for Prometheus, as a file that node_exporter's textfile collector reads.

Every tick writes the file, good or bad, so this module imports little. `prometheus_client` would cost a tick 100 ms of
CPU. The names follow Prometheus' conventions: base units, `_total` for counters, `_info` for what is constant.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..system.files import new_file

if TYPE_CHECKING:
    from ..settings import Settings
    from ..state.folder import State
    from ..state.last_backup import LastBackup
    from ..state.last_rehearsal import LastRehearsal
    from ..state.last_tick import LastTick
    from ..state.pause import Pause

log = logging.getLogger(__name__)

PREFIX = "checkniner_backups_"
Sample = tuple[Mapping[str, str], float]
"""Labels and a value."""
Family = tuple[str, str, str, list[Sample]]
"""Name without the prefix, type, help, and the samples; a family without samples is left out."""


def write_metrics(settings: Settings, state: State, tick: LastTick, pause: Pause | None = None) -> None:
    """Given how the last tick ended, and the pause that stands, if any, write the file of metrics.

    Nothing is raised: where the file cannot be written, that is logged.
    """
    path = settings.metrics_file
    if path is None:
        return
    found = families(settings, tick, state.load(), state.load_rehearsal(), pause)
    text = exposition(found, {"application": settings.name})
    try:
        _replace(path, text.encode())
    except OSError as error:
        log.warning("cannot write the metrics to %s: %s", path, error.strerror)


def families(
    settings: Settings, tick: LastTick, backup: LastBackup | None, rehearsal: LastRehearsal | None,
    pause: Pause | None = None,
) -> list[Family]:  # fmt: skip
    """Given what is remembered, return what is told. What is not known has no samples; no value is made up."""

    def one(name: str, kind: str, text: str, value: float | None) -> Family:
        return name, kind, text, [] if value is None else [({}, value)]

    verdict = rehearsal.verdict.replace(" ", "_") if rehearsal else ""
    return [
        ("info", "gauge", "The software that makes the backups.", [({"version": __version__}, 1)]),
        one("late_after_seconds", "gauge", "Time without the end of a tick after which a tick is late.",
            settings.late_after),
        one("runs_total", "counter", "Ticks that have ended.", tick.runs),
        one("failed_runs_total", "counter", "Ticks that have failed.", tick.failed_runs),
        one("last_run_timestamp_seconds", "gauge", "When the last tick ended.", tick.at),
        one("last_run_duration_seconds", "gauge", "How long the last tick took.", tick.seconds),
        one("last_run_exit_status", "gauge", "Exit status of the last tick.", tick.status),
        one("last_run_failed", "gauge", "Whether the last tick failed.", int(bool(tick.failing_since))),
        one("last_success_timestamp_seconds", "gauge", "When the last tick ended that was good.", tick.good_at or None),
        one("paused_until_timestamp_seconds", "gauge", "Until when the ticks are paused; only while they are.",
            pause.until if pause else None),
        one("last_archive_timestamp_seconds", "gauge", "The time of the data in the newest archive.",
            backup.at if backup else None),
        one("last_archive_size_bytes", "gauge", "Size of the newest archive in the store.",
            backup.size if backup else None),
        one("last_archive_seen_timestamp_seconds", "gauge", "When the newest archive was last seen in the store.",
            backup.seen_in_store_at if backup else None),
        one("last_archive_verified", "gauge", "Whether the store's digest of the newest archive was compared.",
            int(backup.verified) if backup else None),
        one("last_archive_missing_fixtures", "gauge", "Fixtures that the newest archive lacks.",
            len(backup.missing) if backup else None),
        one("shrunken_tables", "gauge", "Business tables that have suddenly lost many of their rows.",
            sum(each.stands(tick.at) for each in backup.shrunk.values()) if backup else None),
        one("last_full_check_timestamp_seconds", "gauge", "When the data were last compared in full.",
            backup.full_check_at if backup else None),
        one("last_rehearsal_timestamp_seconds", "gauge", "When the last rehearsal on this server began.",
            rehearsal.at if rehearsal else None),
        ("last_rehearsal_verdict", "gauge", "What came of the last rehearsal on this server.",
         [({"verdict": verdict}, 1)] if verdict else []),
        ("key_expiry_timestamp_seconds", "gauge", "When an encryption key expires; +Inf where it never does.",
         [({"fingerprint": name}, at or float("inf")) for name, at in sorted(tick.key_expiry.items())]),
    ]  # fmt: skip


def exposition(found: Iterable[Family], labels: Mapping[str, str]) -> str:
    """Given families and the labels that all samples get, return them in Prometheus' text format."""
    lines = []
    for name, kind, text, samples in found:
        if samples:
            lines.append(f"# HELP {PREFIX}{name} {_escaped(text)}")
            lines.append(f"# TYPE {PREFIX}{name} {kind}")
        for own, value in samples:
            pairs = ",".join(f'{key}="{_quoted(text)}"' for key, text in {**labels, **own}.items())
            lines.append(f"{PREFIX}{name}{{{pairs}}} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    # What is no Unicode, as a file's name may be, would make the whole file unreadable.
    return _escaped(text).replace('"', '\\"').encode(errors="replace").decode()


def _number(value: float) -> str:
    if value in (float("inf"), -float("inf")) or value != value:  # noqa: PLR0124 (NaN alone differs from itself)
        return {float("inf"): "+Inf", -float("inf"): "-Inf"}.get(value, "NaN")
    return repr(int(value)) if value == int(value) else repr(round(value, 3))


def _replace(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, whole or not at all: node_exporter reads at any moment.

    Its temporary file does not end in `.prom`, so node_exporter never reads that one. Nothing waits for the disk: after
    a power cut the next tick writes the file anew.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new_file(temporary) as file:  # one of that name is a killed run's, whose number came again
            os.fchmod(file.fileno(), 0o644)  # whatever the umask is
            file.write(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
