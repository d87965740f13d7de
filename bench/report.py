"""The numbers that count, the tables and pictures of docs/performance.md: all made from bench/results/latest.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import pictures
from .backups import CHANGED, DBBACKUP, IDLE, NOISE, OLD, OURS, PIPE, RESTIC
from .restores import LOADDATA, OURS_FIXTURES, OURS_SQL, PSQL

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
PICTURES = PAGE.parent / "performance"
BEGIN, END = "<!-- measured: begin (make bench writes this part) -->", "<!-- measured: end -->"

WANTED: dict[str, tuple[str, str, float]] = {
    "idle_cpu_vs_old_10k": ("CPU of the old tick / ours, nothing changed, 10,000 rows", "at least", 20),
    "idle_cpu_vs_old_1m": ("the same, 1,000,000 rows", "at least", 400),
    "idle_growth_10k_to_1m": ("our idle tick's CPU, 1,000,000 / 10,000 rows", "at most", 1.1),
    "noise_cpu_vs_old_1m": ("CPU of the old tick / ours, after a write outside the business apps", "at least", 40),
    "changed_wall_vs_old_1m": ("changed tick, wall, old / ours", "at least", 12),
    "changed_wall_vs_dbbackup_1m": ("django-dbbackup's wall (SQL only) / ours (SQL and fixtures)", "at least", 0.6),
    "sql_restore_vs_psql_1m": ("`psql <` / ours, proven and swapped, wall", "at least", 0.7),
    "peak_rss_mb_1m": ("largest sum over our process tree in any tick, MiB", "at most", 250),
    "latest_list_requests": ("LIST requests to find the newest of 100,000 archives, 400 days old", "at most", 4),
}
LABELS = {
    OURS: "ours", OLD: "the old way", PIPE: "pg_dump, gzip, gpg, upload", DBBACKUP: "django-dbbackup",
    RESTIC: "pg_dump into restic", OURS_SQL: "ours, SQL (proven, swapped)", PSQL: "psql <",
    OURS_FIXTURES: "ours, fixtures (proven, swapped)", LOADDATA: "migrate and loaddata",
}  # fmt: skip
_SCENARIOS = {IDLE: "nothing changed", NOISE: "only a session changed", CHANGED: "business data changed",
              "restore": "restore"}  # fmt: skip


def numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """Given all results, return the numbers under their names; those whose size was not measured are missing."""
    measured = results["measured"]
    found: dict[str, float] = {}

    def ratio(name: str, what: str, above: tuple[str, str, str], below: tuple[str, str, str]) -> None:
        try:
            values = [measured[rows][scenario][way][what]["median"] for rows, scenario, way in (above, below)]
        except KeyError:
            return
        found[name] = round(values[0] / values[1], 3)

    small, large = "10000", "1000000"
    ratio("idle_cpu_vs_old_10k", "cpu", (small, IDLE, OLD), (small, IDLE, OURS))
    ratio("idle_cpu_vs_old_1m", "cpu", (large, IDLE, OLD), (large, IDLE, OURS))
    ratio("noise_cpu_vs_old_1m", "cpu", (large, NOISE, OLD), (large, NOISE, OURS))
    ratio("changed_wall_vs_old_1m", "wall", (large, CHANGED, OLD), (large, CHANGED, OURS))
    ratio("changed_wall_vs_dbbackup_1m", "wall", (large, CHANGED, DBBACKUP), (large, CHANGED, OURS))
    ratio("sql_restore_vs_psql_1m", "wall", (large, "restore", PSQL), (large, "restore", OURS_SQL))
    turns = results.get("idle_in_turns", {})
    if small in turns and large in turns:
        found["idle_growth_10k_to_1m"] = round(turns[large]["cpu"]["median"] / turns[small]["cpu"]["median"], 3)
    if large in measured:
        peaks = [measured[large][scenario][OURS]["peak_mib"]["max"] for scenario in (IDLE, NOISE, CHANGED)]
        found["peak_rss_mb_1m"] = round(max(peaks), 1)
    if results.get("listing"):
        found["latest_list_requests"] = sum(results["listing"]["requests"].values())
    return found


def text(results: Mapping[str, Any]) -> str:
    """Given all results, return everything as Markdown, which a terminal shows as well."""
    return "\n".join(_lines(results))


def write(results: Mapping[str, Any]) -> None:
    """Given all results, write the measured part of docs/performance.md and its pictures."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PICTURES.mkdir(exist_ok=True)
    names = {}
    for name, (title, svg) in pictures.draw(results["measured"], LABELS).items():
        (PICTURES / f"{name}.svg").write_text(svg)
        names[name] = title
    images = "\n".join(f"![{title}](performance/{name}.svg)\n" for name, title in names.items())
    PAGE.write_text(f"{before}{BEGIN}\n\n{text(results)}\n\n{images}\n{END}{after}")


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    machine, listing = results["machine"], results.get("listing") or {}
    yield f"`{machine['command']}` on {machine['when']}, at commit {machine['commit']}, in {results['seconds']} s."
    yield f"Machine: {machine['cores']} cores ({machine['processor']}), {machine['memory_mib']} MiB,"
    yield f"load {machine['load']} before it began,"
    yield f"{machine['system']}, Linux {machine['kernel']}."
    yield "Versions: " + "; ".join(f"{name}: {value or 'none'}" for name, value in machine["versions"].items()) + "."
    yield ""
    yield "| number | what | wanted | measured | |"
    yield "| --- | --- | --- | ---: | --- |"
    for name, (what, direction, limit) in WANTED.items():
        value = results.get(name)
        if value is None:
            yield f"| `{name}` | {what} | {direction} {limit:g} | not measured | |"
            continue
        good = value >= limit if direction == "at least" else value <= limit
        yield f"| `{name}` | {what} | {direction} {limit:g} | {value:g} | {'reached' if good else '**missed**'} |"
    if listing:
        few = "" if listing["archives"] == listing["wanted"] else f" ({listing['wanted']} would have taken too long)"
        yield ""
        yield f"The newest was looked for among {listing['archives']:,} keys{few}; it took {listing['seconds']:.2f} s."
    if results.get("idle_in_turns"):
        turns = ", ".join(
            f"{each['cpu']['median'] * 1000:.1f} ms at {int(rows):,}"
            for rows, each in sorted(results["idle_in_turns"].items(), key=lambda each: int(each[0]))
        )
        yield ""
        yield f"CPU of our idle tick by rows, measured in turns for the growth: {turns}."
    for rows, scenarios in sorted(results["measured"].items(), key=lambda each: int(each[0])):
        yield ""
        yield f"**{int(rows):,} rows.** Median (least to most)."
        yield ""
        yield "| what | way | wall, s | CPU, s | PostgreSQL's CPU, s | memory, MiB | stored, bytes | requests |"
        yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
        for scenario, ways in scenarios.items():
            for way, each in ways.items():
                cells = [_spread(each["wall"]), _spread(each["cpu"]), f"{each['server_cpu']['median']:.2f}"]
                cells += [f"{each['peak_mib']['max']:.0f}"]
                if scenario == "restore":
                    cells += ["", ""]
                else:
                    cells += [f"{each['stored']['median']:,.0f}", f"{each['requests']['median']:.0f}"]
                times = len(each["runs"])
                once = " (once)" if times == 1 else ""
                yield f"| {_SCENARIOS[scenario]} | {LABELS[way]}{once} | {' | '.join(cells)} |"


def _spread(values: Mapping[str, float]) -> str:
    if values["min"] == values["max"]:
        return f"{values['median']:.2f}"
    return f"{values['median']:.2f} ({values['min']:.2f} to {values['max']:.2f})"
