"""What a command costs: its whole process tree, the database server and the store apart from it.

CPU is what the kernel charged to the command and to everything that it started and waited for (`wait4`), user and
system time together. Memory is the largest sum, over all processes of the tree, of the resident set sizes in /proc:
pages that several share count for each, so it is rather too high than too low. It is sampled every 10 ms in the
first second and every 50 ms after it.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.object_store import ObjectStore
from sandbox.owner import SYSTEM_PATH, Account
from sandbox.postgres import Cluster

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20
_COUNTER = "SeaweedFS_s3_request_total{"


@dataclass(frozen=True)
class Measure:
    """One run: seconds, MiB, S3 requests, and bytes that the bucket holds more than before."""

    wall: float
    cpu: float
    server_cpu: float
    peak_mib: float
    requests: int = 0
    stored: int = 0


class CommandFailedError(Exception):
    """A command that was to be measured ended with an error: what it measured is worth nothing."""


class Meter:
    """Measures commands against one database server and one store."""

    def __init__(self, cluster: Cluster, store: ObjectStore, bucket: str) -> None:
        self._cluster = cluster
        self._store = store
        self._bucket = bucket

    def run(
        self,
        argv: Sequence[str | Path],
        account: Account,
        environment: Mapping[str, str],
        folder: Path,
        accept: Callable[[str], bool] = lambda output: True,  # noqa: ARG005
    ) -> Measure:
        """Given a command, and as whom, with what and where it runs, run it to its end and return what it cost.

        :param accept: given its output, return whether it did what was expected
        :raises CommandFailedError: it failed, or did something else
        """
        stored, requests, server_cpu = self._stored(), self._requests(), self._server_cpu()
        with tempfile.TemporaryFile("w+") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                [str(word) for word in argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": str(folder), **environment},
                start_new_session=True, umask=0o077, **account.options(),
            )  # fmt: skip
            with _Sampler(process.pid) as sampler:
                _, status, usage = os.wait4(process.pid, 0)
                wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read()
        if process.returncode or not accept(text):
            raise CommandFailedError(f"{argv[0]} ended with {process.returncode}:\n{text[-3000:]}")
        return Measure(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            server_cpu=self._server_cpu() - server_cpu,
            peak_mib=sampler.peak / _MIB,
            requests=self._requests() - requests,
            stored=self._stored() - stored,
        )

    def _requests(self) -> int:
        """S3 requests that the store has answered so far."""
        with urllib.request.urlopen(self._store.metrics_url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(_COUNTER))

    def _stored(self) -> int:
        pages = self._store.client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return sum(entry["Size"] for page in pages for entry in page.get("Contents", ()))

    def _server_cpu(self) -> float:
        """Seconds that PostgreSQL's processes have used so far: those that live, and those that have ended."""
        postmaster = self._cluster.process_id or 0
        own, ended = _times(postmaster)
        return own + ended + math.fsum(_times(child)[0] for child in _children(postmaster))


class _Sampler:
    """Watches the memory of a process and everything below it, from a thread."""

    def __init__(self, process_id: int) -> None:
        self.peak = 0
        self._process_id = process_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        started = time.monotonic()
        while True:
            self.peak = max(self.peak, sum(map(_resident, _tree(self._process_id))))
            if self._ended.wait(0.01 if time.monotonic() - started < 1 else 0.05):
                return


def _tree(process_id: int) -> list[int]:
    found = [process_id]
    for each in found:
        found += _children(each)
    return found


def _children(process_id: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):  # it may end at any moment
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def _resident(process_id: int) -> int:
    try:
        return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _times(process_id: int) -> tuple[float, float]:
    """Return a process's CPU seconds, and those of the children that it has waited for."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return (utime + stime) / _TICKS, (cutime + cstime) / _TICKS


@dataclass(frozen=True)
class Summary:
    """Several runs of one thing: of each measure the median, the least and the most."""

    runs: tuple[Measure, ...]

    def median(self, name: str) -> float:
        """Given a measure's name, return its median."""
        return float(statistics.median(getattr(run, name) for run in self.runs))

    def most(self, name: str) -> float:
        """Given a measure's name, return the largest."""
        return float(max(getattr(run, name) for run in self.runs))

    def as_json(self) -> dict[str, Any]:
        """Return median, least, most and all runs, ready for JSON."""
        names = list(asdict(self.runs[0]))
        spread = {
            name: {
                "median": self.median(name),
                "min": min(getattr(run, name) for run in self.runs),
                "max": self.most(name),
            }
            for name in names
        }
        return {**spread, "runs": [asdict(run) for run in self.runs]}
