"""The role's variables are declared in its defaults, with a comment for each: `make docs` writes from there the page of
variables, and the defaults and descriptions in `argument_specs.yml`. Types and allowed values stand there alone."""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass

import yaml

from .virtualenv import ROOT

PAGE = ROOT / "docs" / "variables.md"
SPECIFICATION = ROOT / "roles" / "checkniner_backups" / "meta" / "argument_specs.yml"
DEFAULTS = ROOT / "roles" / "checkniner_backups" / "defaults" / "main.yml"
_BEGIN, _END = "<!-- written by make docs, from the role's defaults -->\n", "<!-- end -->\n"
_SECTION = re.compile(r"# -+ (.+?) -+$")
_CODE = re.compile(r"`([^`]+)`")
_VARIABLE = re.compile(r"(checkniner_backups_\w+):(?: (.*))?$")


@dataclass(frozen=True)
class Variable:
    """One public variable of the role."""

    section: str
    name: str
    raw: str
    meaning: str

    @property
    def default(self) -> str:
        """The default without quotes."""
        return self.raw.strip('"')


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
            found.append(Variable(section, match[1], match[2] or "", meaning))
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


def specification() -> str:
    """Return `argument_specs.yml` with fresh defaults and descriptions."""
    text = SPECIFICATION.read_text()
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    before, begin, rest = text.partition("    options: &options\n")
    after = rest[rest.index("\n  backup:\n") + 1 :]
    return before + begin + "".join(_option(each, options.get(each.name)) for each in variables()) + after


def _option(variable: Variable, facts: dict[str, object] | None) -> str:
    """Return one option: what stands in it but default and description is kept; a new one has its default's type."""
    facts = facts or {"type": {bool: "bool", int: "float", list: "list"}.get(type(yaml.safe_load(variable.raw)), "str")}
    kept = {name: value for name, value in facts.items() if name not in ("default", "description")}
    lines = [f"{name}: {_flow(value)}" for name, value in kept.items()]
    if "{{" not in variable.default:  # else it follows from other variables
        lines.append(f"default: {variable.raw}")
    # Ansible renders the specification as a template before it reads it.
    words = variable.meaning.replace("{{ ", "").replace(" }}", "")
    words = _CODE.sub(lambda found: "C({})".format(found[1].replace(")", "\\)")), words)
    lines.append("description: >-")
    lines += textwrap.wrap(words, 100, initial_indent="  ", subsequent_indent="  ",
                           break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return f"      {variable.name}:\n" + "".join(f"        {line}\n" for line in lines)


def _flow(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return {True: "true", False: "false", "": '""'}.get(value, str(value))  # type: ignore[call-overload, no-any-return]


def main() -> int:
    """Write both."""
    PAGE.write_text(page())
    SPECIFICATION.write_text(specification())
    return 0


def _joined(comment: list[str]) -> str:
    """Lines of prose, joined; indented lines are examples, each as code."""
    words = [f"`{line.strip()}`" if line.startswith(" ") else line for line in comment]
    return " ".join(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
