"""Writes docs/reliability.md from the record of a run: `python -m tests.faults.page RECORD`."""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
PROMISES = {
    2: "No change is lost",
    4: "Fails closed",
    7: "A restore never harms a working database",
    9: "Every failure is loud",
    14: "Whose data it is, is known",
}
_HEAD = """\
# Reliability: what was broken on purpose

`make faults` writes this page. It tries every pair of a fault and a place, on a real PostgreSQL, GnuPG, Django and S3
server, and checks after each pair what must hold, in one function (`Faulty.check` in `tests/plugins/faulty.py`):

1. The run ended with an exit status that tells what happened, and without a traceback. Where it ended with success,
   what it was to save is in the store.
2. The next run without the fault ends well. The newest archive then holds the data, in its SQL and in its fixtures.
3. What the server remembers of its last archive is what the store has.
4. No plaintext, no half-written file and no process is left.

After a restore that was broken, the live database must also be either what it was or what was restored, what was
replaced must be kept, and the next restore must end well. `make test` tries a fifth of the pairs, always the same ones.

"""


def page(pairs: list[dict[str, Any]], version: str) -> str:
    """Given what was tried and came of it, and the engine's version, return the page."""
    failed = [each for each in pairs if not each["passed"]]
    lines = [f"Version {version}: **{len(pairs)} pairs, {len(pairs) - len(failed)} passed, {len(failed)} failed.**\n"]
    for number, title in PROMISES.items():
        mine = [each for each in pairs if each["promise"] == number]
        if not mine:
            continue
        passed = sum(each["passed"] for each in mine)
        lines.append(f"## {title}: {passed} of {len(mine)}\n")
        for file, group in sorted(_by(mine, "file").items()):
            lines += _group(file, group)
    if failed:
        lines.append("## What failed\n")
        lines += [f"- {each['fault']}, at {each['place']} (`{each['file']}`)" for each in failed]
        lines.append("")
    return _HEAD + "\n".join(lines).rstrip() + "\n"


def _group(file: str, pairs: list[dict[str, Any]]) -> list[str]:
    said = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
    passed = sum(each["passed"] for each in pairs)
    lines = [f"**{said.splitlines()[0]}** {passed} of {len(pairs)} pairs held (`{file}`).\n"]
    lines += ["| fault | tried at |", "| --- | --- |"]
    for fault, group in sorted(_by(pairs, "fault").items()):
        places = list(dict.fromkeys(_cell(each["place"]) for each in group))
        shown = ", ".join(places) if len(places) <= 12 else f"{', '.join(places[:12])} and {len(places) - 12} more"
        lines.append(f"| {_cell(fault)} | {shown} |")
    return [*lines, ""]


def _by(pairs: list[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in pairs:
        found[each[name]].append(each)
    return found


def _cell(text: str) -> str:
    shown = "".join(each if each.isprintable() else f"U+{ord(each):04X}" for each in text)
    return shown.replace("|", "\\|").replace("<", "&lt;") or "(empty)"


def main() -> None:
    """Write the page."""
    told = json.loads(Path(sys.argv[1]).read_text())
    pairs = {(each["file"], each["fault"], each["place"]): each for each in told}  # a pair counts once
    sys.path.insert(0, str(ROOT / "module_utils"))
    from checkniner_backups import __version__

    PAGE.write_text(page(list(pairs.values()), __version__))


if __name__ == "__main__":
    main()
