"""What the measurements ran on, and with which versions."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from sandbox.object_store import weed
from sandbox.virtualenv import ROOT

from .site import Machine


def describe(machine: Machine) -> dict[str, object]:
    """Return processor, memory, system and versions, the commit, and the moment (UTC)."""
    python = machine.command.with_name("python")
    return {
        "command": "BENCH_QUICK=1 make bench" if os.environ.get("BENCH_QUICK") == "1" else "make bench",
        "load": round(os.getloadavg()[0], 1),
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _first("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "processor": _field(Path("/proc/cpuinfo"), r"model name\s*: (.+)") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": int(_field(Path("/proc/meminfo"), r"MemTotal:\s+(\d+)") or 0) // 1024,
        "system": _field(Path("/etc/os-release"), r'PRETTY_NAME="(.+)"'),
        "kernel": platform.release(),
        "versions": {
            "PostgreSQL": _first(str(machine.cluster.binaries / "postgres"), "--version"),
            "Python of the engine": _first(str(python), "--version"),
            "Python of this program": sys.version.split()[0],
            "GnuPG": _first("gpg", "--version"),
            "django-dbbackup": _field(machine.ways / "dbbackup-requirements.txt", r"django-dbbackup==(.+)"),
            "Django": _field(machine.ways / "dbbackup-requirements.txt", r"Django==(.+)"),
            "restic": _first("restic", "version"),
            "SeaweedFS": _first(str(weed()), "version"),
        },
    }


def _first(*argv: str) -> str:
    try:
        found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    except OSError:
        return ""
    return found[0].strip() if found else ""


def _field(path: Path, pattern: str) -> str:
    try:
        found = re.search(pattern, path.read_text())
    except OSError:
        return ""
    return found[1].strip() if found else ""
