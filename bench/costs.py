"""What archives cost to keep: bytes, requests and dollars, by rows and changes a day, and where others become cheaper.

    PYTHONPATH=module_utils python -m bench.costs

prints the tables of docs/performance.md from the sizes in `results/latest.json` and the policy of a prune. Nothing is
sent. With `--wal`, the size of a compressed WAL segment is measured, in a throwaway PostgreSQL.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from checkniner_backups.pruning.policy import Known, Policy, decide
from checkniner_backups.storage.catalog import Archive, file_name

from sandbox.postgres import Cluster

from .arrivals import KEPT, LOOKS, OF_A_LOOK, PUT

ROWS, CHANGES = (10_000, 100_000, 1_000_000, 10_000_000), (1, 12, 288)
PART, SIMPLE, IN_PARTS = 8 << 20, 4, 6
"""Bytes of a part of an upload. Requests for an archive in one piece, and for a larger one besides its parts; the
history of the day is one of them."""
DAYS, MONTH = 365, 30
SEGMENTS, SEGMENT = 288, 85_000
"""WAL segments a day, with `archive_timeout = 5min` and a write in each five minutes; and bytes of one after gzip, with
one changed row after a checkpoint, as `--wal` has measured."""
FULLS = 5
"""Full backups of a physical backup that are kept: one a week."""


def stored(way: str, rows: int) -> float:
    """Given a way of `results/latest.json` and a number of rows, return the bytes that one change stores."""
    if str(rows) in _measured():
        return float(_measured()[str(rows)]["changed"][way]["stored"]["median"])
    # Not measured: a dump grows with its rows; what restic stores of a small change does not, once a dump is large.
    return stored(way, rows // 10) * (1 if way == "restic" else 10)


@cache
def _measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "results" / "latest.json").read_text())["measured"]
    return found


def requests(size: float, changes: int) -> float:
    """Given the bytes of an archive and the archives of a day, return the requests of a day."""
    return changes * (SIMPLE if size < PART else IN_PARTS + size // PART) + LOOKS * OF_A_LOOK


@cache
def kept(changes: int) -> int:
    """Given the archives of a day, return how many stay after a year of prunes with the default policy."""
    begin = datetime(2025, 1, 1, tzinfo=timezone.utc)
    stamps = (begin + timedelta(seconds=number * 86_400 // changes) for number in range(DAYS * changes))
    archives = [Archive(f"db/{file_name(stamp, True)}", stamp, 1, True, stamp) for stamp in stamps]
    return len(decide(archives, Policy(), Known(), archives[-1].stamp).stays)


def lines() -> Iterator[str]:
    """Yield the lines of both tables."""
    heads = ("rows", "changes a day", "bytes a day", "requests a day", "pruned, after a year", "dollars a month",
             "all, after a year")  # fmt: skip
    yield f"| {' | '.join(heads)} |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for rows in ROWS:
        size = stored("ours", rows)
        for changes in CHANGES:
            yield (
                f"| {rows:,} | {changes} | {_bytes(size * changes)} | {requests(size, changes):,.0f} |"
                f" {_bytes(size * kept(changes))} | {_ours(rows, changes):,.2f} | {_bytes(size * changes * DAYS)} |"
            )
    yield ""
    yield "| rows | changes a day | ours | restic, SQL alone | WAL and a full backup a week |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for rows in ROWS:
        for changes in CHANGES:
            yield (
                f"| {rows:,} | {changes} | {_ours(rows, changes):,.2f} | {_restic(rows, changes):,.2f} |"
                f" {_wal(rows):,.2f} |"
            )


def _ours(rows: int, changes: int) -> float:
    size = stored("ours", rows)
    return size * kept(changes) * KEPT + requests(size, changes) * MONTH * PUT


def _restic(rows: int, changes: int) -> float:
    size = stored("pipe", rows) + stored("restic", rows) * kept(changes)
    return size * KEPT + changes * 27 * MONTH * PUT


def _wal(rows: int) -> float:
    size = FULLS * stored("pipe", rows) + MONTH * SEGMENTS * SEGMENT
    return size * KEPT + MONTH * SEGMENTS * PUT


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def segment() -> int:
    """Return the bytes, after gzip, of a WAL segment with one changed row after a checkpoint."""
    settings = {"full_page_writes": "on", "archive_mode": "on", "archive_command": "cp %p archived-%f"}
    with Cluster(settings=settings) as cluster, psycopg.connect(cluster.admin_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id, a) AS SELECT n, md5(n::text) FROM generate_series(1, 100000) n")
        connection.execute("CREATE UNIQUE INDEX ON t (id)")
        sizes = []
        for row in (5, 50_005, 95_005):
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
            connection.execute("UPDATE t SET a = 'x' WHERE id = %s", [row])
            name = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            assert name  # for the type checker: a SELECT has a row
            path = cluster.data / f"archived-{name[0]}"
            while not path.exists():
                time.sleep(0.1)
            time.sleep(0.5)  # cp writes it
            sizes.append(len(gzip.compress(path.read_bytes(), 3)))
    return max(sizes)


if __name__ == "__main__":
    sys.stdout.write(f"{segment():,} bytes\n" if "--wal" in sys.argv[1:] else "\n".join([*lines(), ""]))
