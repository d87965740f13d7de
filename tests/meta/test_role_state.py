"""What the role's task files hand on to one another is in one fact, whose keys are declared where it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .source import ROOT

ROLE = ROOT / "roles" / "checkniner_backups"
FILES = sorted((ROLE / "tasks").rglob("*.yml"))
FACT = "__checkniner_backups_run"
SECRET = "__checkniner_backups_access"  # apart from the rest, which -v prints
# Results of an entry point, for the playbooks that play it.
PUBLIC = {
    "checkniner_backups_asked", "checkniner_backups_crontab", "checkniner_backups_listed", "checkniner_backups_units",
}  # fmt: skip


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """Given what a YAML file holds, yield every mapping in it."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from entries(each)


def strings(value: Any) -> Iterator[str]:
    """Given what a YAML file holds, yield every string in it."""
    for each in entries({"": value}):
        for inner in each.values():
            yield from [part for part in (inner if isinstance(inner, list) else [inner]) if isinstance(part, str)]


def read(file: Path) -> Any:
    """Given a YAML file, return what it holds."""
    return yaml.safe_load(file.read_text())


def declared() -> set[str]:
    """Return the keys of the fact."""
    (made,) = [
        task[name] for task in entries(read(ROLE / "tasks/common/start.yml")) for name in task if "set_fact" in name
    ]
    return set(made[FACT])


def added() -> set[str]:
    """Return the keys that some file adds to the fact."""
    return {key for file in FILES for each in entries(read(file)) for key in each.get("__checkniner_backups_found", {})}


def test_every_key_is_declared_added_and_read() -> None:
    text = "".join(file.read_text() for file in (*FILES, ROLE / "vars" / "main.yml"))
    used = set(re.findall(rf"(?<!\w){FACT}\.(\w+)", text))
    assert declared() == used
    assert declared() == added()


def test_the_comment_of_a_key_says_who_adds_it() -> None:
    lines = (ROLE / "tasks/common/start.yml").read_text().splitlines()
    for key in declared():
        (comment,) = [line.partition("#")[2] for line in lines if line.strip().startswith(f"{key}: ")]
        told = set(re.search(r"\(([a-z_/]+(?:, [a-z_/]+)*)\)$", comment)[1].split(", "))  # type: ignore[index]
        found = {
            str(file.relative_to(ROLE / "tasks").with_suffix(""))
            for file in FILES
            if any(key in each.get("__checkniner_backups_found", {}) for each in entries(read(file)))
        }
        assert told == found, key


def test_nothing_else_is_handed_on() -> None:
    """What a file registers, or sets as a fact, is used in that file alone."""
    for file in FILES:
        own = set()
        for task in entries(read(file)):
            own |= {task["register"]} if isinstance(task.get("register"), str) else set()
            own |= set(task.get("ansible.builtin.set_fact", {}))
        own -= {FACT, SECRET, *PUBLIC}
        for other in (*FILES, ROLE / "vars" / "main.yml", *(ROLE / "templates").iterdir()):
            text = other.read_text()
            foreign = {name for name in own if re.search(rf"(?<!\w){name}\b", text)}
            foreign -= set(re.findall(r"register: (\w+)", text))
            assert other == file or not foreign, f"{other.name} uses {foreign} of {file.name}"


def test_no_choice_stands_within_a_choice() -> None:
    """More than two ways are a table, or a task of their own."""
    for file in (*FILES, ROLE / "vars" / "main.yml"):
        for text in strings(read(file)):
            for expression in re.findall(r"\{\{.*?\}\}", text, re.DOTALL):
                choices = len(re.findall(r"\belse\b", expression)) + expression.count("| ternary(")
                assert choices <= 1, f"{file.name}: {expression}"
