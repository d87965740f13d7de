"""What many servers ask of one store: a simulated day, second by second, with ticks spread as set-up spreads them.

    PYTHONPATH=module_utils python -m bench.arrivals

prints the tables of docs/fleet.md. Nothing is sent: what a tick asks for is what docs/performance.md measures.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from checkniner_backups.system.schedule import tick_schedule

PERIOD, DAY = 300, 86_400
"""Seconds: between two ticks of a server; of a day."""
OF_AN_ARCHIVE, OF_A_LOOK = 4, 5
"""Requests: an archive is put and looked at (3), and the history of its day is put; the hourly look asks for the last
archive, and finds the newest by four LISTs."""
LOOKS = 24
"""Looks into the store a day."""
SIZE = 300_000
"""Bytes of an archive of 10,000 rows, as SQL and fixtures (docs/performance.md)."""
PUT, KEPT = 0.005 / 1000, 0.023 / 1e9
"""Assumed prices, in dollars: of a PUT or LIST, and of a byte for a month."""
RULE = "| ---: | ---: | ---: | ---: | ---: |"
SERVERS, CHANGES = (1, 100, 10_000), (12, 288)


@dataclass(frozen=True)
class Load:
    """What a store sees in a day.

    :param requests: of the day
    :param busiest: the most in one second
    """

    requests: int
    busiest: int


def simulate(servers: int, changes: int, spread: bool) -> Load:
    """Given the number of servers, how many archives each saves in a day, and whether their ticks are spread, return
    what the store sees. Which ticks find a change is left to chance, the same at each run."""
    chance = random.Random(f"{servers} {changes}")
    ticks = DAY // PERIOD
    at: Counter[int] = Counter()
    for number in range(servers):
        offset = _offset(f"server-{number}.example.org") if spread else 0
        for tick in chance.sample(range(ticks), changes):
            at[offset + tick * PERIOD] += OF_AN_ARCHIVE
        first = chance.randrange(ticks // LOOKS)  # the hour of a server begins when it likes
        for tick in range(first, ticks, ticks // LOOKS):
            at[offset + tick * PERIOD] += OF_A_LOOK
    return Load(at.total(), max(at.values()))


def _offset(host: str) -> int:
    schedule = tick_schedule(host)
    return int(schedule.cron.partition("-")[0]) * 60 + schedule.delay


def lines(most: int = SERVERS[-1]) -> Iterator[str]:
    """Given the size of the largest fleet, yield the lines of both tables."""
    fleets = [servers for servers in SERVERS if servers <= most]
    yield "| servers | archives a day, each | requests a day | most a second, spread | most a second, at once |"
    yield RULE
    for servers in fleets:
        for changes in CHANGES:
            spread, together = (simulate(servers, changes, each) for each in (True, False))
            yield f"| {servers:,} | {changes} | {spread.requests:,} | {spread.busiest:,} | {together.busiest:,} |"
    yield ""
    yield "| servers | archives a day, each | bytes a day | requests, dollars a month | archives, dollars a month |"
    yield RULE
    for servers in fleets:
        for changes in CHANGES:
            size = servers * changes * SIZE
            requests = servers * (changes * OF_AN_ARCHIVE + LOOKS * OF_A_LOOK) * 30 * PUT
            yield f"| {servers:,} | {changes} | {size / 1e9:,.2f} GB | {requests:,.2f} | {90 * size * KEPT:,.2f} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join([*lines(), ""]))
