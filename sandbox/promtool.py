"""Prometheus' own judge of metrics and alert rules: `promtool`, from Debian's package `prometheus`.

The package is unpacked below `.cache/`, not installed: installed, it would start a server on port 9090. So no root is
needed either, but for `apt-get update` where a new machine knows no packages yet.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .virtualenv import ROOT

_CACHE = ROOT / ".cache" / "promtool"


class NoPromtoolError(Exception):
    """`promtool` is not there, and cannot be fetched."""


def promtool() -> Path:
    """Return the path of `promtool`: the system's, or Debian's from the cache, which is fetched once.

    :raises NoPromtoolError: it is not installed, and this is no Debian with a way to its packages
    """
    if found := shutil.which("promtool"):
        return Path(found)
    program = _CACHE / "usr" / "bin" / "promtool"
    if not program.exists():
        _fetch()
    return program


def _fetch() -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPromtoolError("promtool is missing: install Prometheus, which holds it")
    _CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt fetches as a user of its own
        done = _run(["apt-get", "-q", "download", "prometheus"], folder)
        if done.returncode and os.geteuid() == 0:
            _run(["apt-get", "-q", "update"], folder)
            done = _run(["apt-get", "-q", "download", "prometheus"], folder)
        packages = list(folder.glob("prometheus_*.deb"))
        if done.returncode or not packages:
            raise NoPromtoolError(f"promtool cannot be fetched: {done.stderr.strip()[-500:]}")
        unpacked = folder / "unpacked"
        done = _run(["dpkg-deb", "-x", str(packages[0]), str(unpacked)], folder)
        if done.returncode:
            raise NoPromtoolError(f"promtool cannot be unpacked: {done.stderr.strip()[-500:]}")
        shutil.rmtree(_CACHE, ignore_errors=True)
        unpacked.rename(_CACHE)


def _run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300,
                          stdin=subprocess.DEVNULL)  # fmt: skip
