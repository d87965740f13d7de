"""The role's variables as Markdown tables, from its defaults and their comments: `make docs` writes them."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from .virtualenv import ROOT

PAGE = ROOT / "docs" / "variables.md"
DEFAULTS = ROOT / "roles" / "checkniner_backups" / "defaults" / "main.yml"
_BEGIN, _END = "<!-- written by make docs, from the role's defaults -->\n", "<!-- end -->\n"
_SECTION = re.compile(r"# -+ (.+?) -+$")
_VARIABLE = re.compile(r"(checkniner_backups_\w+):(?: (.*))?$")


@dataclass(frozen=True)
class Variable:
    """One public variable of the role."""

    section: str
    name: str
    default: str
    meaning: str


def variables() -> list[Variable]:
    """Return the role's public variables in the order of its defaults."""
    found: list[Variable] = []
    section, comment, meaning = "", [], ""
    for line in DEFAULTS.read_text().splitlines():
        if match := _SECTION.match(line):
            section, comment = match[1], []
        elif line.startswith("#"):
            comment.append(line[1:].removeprefix(" "))
        elif match := _VARIABLE.match(line):
            if comment:  # a comment above several variables is for all of them
                meaning, comment = _joined(comment), []
            found.append(Variable(section, match[1], (match[2] or "").strip('"'), meaning))
        elif line and line != "---":
            raise ValueError(f"{DEFAULTS.name}: a value on a line of its own: {line}")
    return found


def tables() -> str:
    """Return the tables, one for each section."""
    parts, section = [], ""
    for each in variables():
        if each.section != section:
            section = each.section
            parts.append(f"\n### {section}\n\n| variable | default | meaning |\n| --- | --- | --- |\n")
        default = f"`{each.default}`" if each.default else "empty"
        parts.append(f"| `{each.name}` | {_cell(default)} | {_cell(each.meaning)} |\n")
    return "".join(parts).lstrip("\n")


def page() -> str:
    """Return the page with fresh tables."""
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{after}"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page())
    return 0


def _joined(comment: list[str]) -> str:
    """Lines of prose, joined; indented lines are examples, each as code."""
    words = [f"`{line.strip()}`" if line.startswith(" ") else line for line in comment]
    return " ".join(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
