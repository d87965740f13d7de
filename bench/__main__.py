"""`python -m bench`: measure everything, then write bench/results/latest.json and docs/performance.md."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from . import backups, listing, report, restores
from .machine import describe
from .site import Machine, Site

RESULTS = Path(__file__).parent / "results" / "latest.json"
SIZES = (10_000, 100_000, 1_000_000)
LARGE = 10_000_000
log = logging.getLogger("bench")


def main() -> int:
    """Parse the command line, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    large = (LARGE,) if os.environ.get("BENCH_LARGE") == "1" else ()
    parser.add_argument("--rows", type=int, nargs="*", default=[*SIZES, *large], help="sizes (default: %(default)s)")
    parser.add_argument("--archives", type=int, default=100_000, help="keys in the listing (default: %(default)s)")
    parser.add_argument("--without", nargs="*", default=[], metavar="WAY", help="ways to leave out, for trials")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="only write docs/performance.md anew, from that file")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("boto3").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    if not arguments.report:
        arguments.results.parent.mkdir(exist_ok=True)
        for found in measure(arguments.rows, arguments.archives, set(arguments.without)):
            arguments.results.write_text(json.dumps({**report.numbers(found), **found}, indent=1) + "\n")
    results = json.loads(arguments.results.read_text())
    if arguments.results == RESULTS:
        report.write(results)
    print(report.text(results))
    return 0


def measure(sizes: list[int], archives: int, without: set[str]) -> Iterator[dict[str, Any]]:
    """Given the sizes, the number of keys to list and names of ways to leave out, yield the results so far, again and
    again: what was measured is kept if something fails later."""
    started = time.monotonic()
    results: dict[str, Any] = {"measured": {}}
    with Machine() as machine, ExitStack() as stack:
        results["machine"] = describe(machine)
        every = [way for way in backups.ways() if way.name not in without]
        sites = []
        for rows in sizes:
            log.info("filling a database of %d rows", rows)
            site = stack.enter_context(Site(machine, rows))
            sites.append(site)
            found = {
                scenario: {name: summary.as_json() for name, summary in each.items()}
                for scenario, each in backups.measure(site, every).items()
            }
            found["restore"] = {name: each.as_json() for name, each in restores.measure(site, without).items()}
            results["measured"][str(rows)] = found
            results["seconds"] = round(time.monotonic() - started)
            yield results
        if sites:
            results["idle_in_turns"] = {
                str(rows): each.as_json() for rows, each in backups.growth(sites, every).items()
            }
        if archives:
            results["listing"] = listing.measure(machine, archives)
        results["seconds"] = round(time.monotonic() - started)
        yield results


if __name__ == "__main__":
    sys.exit(main())
