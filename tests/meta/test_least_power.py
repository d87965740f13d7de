"""Nobody does with root what the application's owner can do: no task of root's touches a path of the application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TASKS = Path(__file__).parents[2] / "roles" / "checkniner_backups" / "tasks"
ROOT = "{{ checkniner_backups_administrator }}"
OWNERS = (
    "checkniner_backups_application_path", "checkniner_backups_virtualenv", "__checkniner_backups_activate",
    "__checkniner_backups_gnupg_home", "__checkniner_backups_restore_path", "checkniner_backups_state_path }}/",
)  # fmt: skip


def tasks_of(entries: list[dict[str, Any]], user: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Given tasks, yield each that does something, blocks opened, and as whom it runs."""
    for entry in entries:
        own = str(entry.get("become_user", user))
        parts = [part for name in ("block", "rescue", "always") for part in entry.get(name, [])]
        if parts:
            yield from tasks_of(parts, own)
        else:
            yield entry, own


@pytest.mark.parametrize("file", sorted(TASKS.rglob("*.yml")), ids=lambda file: str(file.relative_to(TASKS)))
def test_root_touches_nothing_of_the_applications(file: Path) -> None:
    for task, user in tasks_of(yaml.safe_load(file.read_text())):
        if user == ROOT:
            assert not [name for name in OWNERS if name in str(task)], task["name"]


def test_there_are_tasks_of_root() -> None:
    users = [user for file in TASKS.rglob("*.yml") for _, user in tasks_of(yaml.safe_load(file.read_text()))]
    assert users.count(ROOT) >= 8


@pytest.mark.parametrize("file", sorted(TASKS.rglob("*.yml")), ids=lambda file: str(file.relative_to(TASKS)))
def test_an_interpreter_finds_no_modules_where_it_happens_to_start(file: Path) -> None:
    """`python -m` looks there first, and that may be a folder where others write."""
    started = ("checkniner_backups_python }}", "checkniner_backups_python,", "__checkniner_backups_pip ")
    for task, _ in tasks_of(yaml.safe_load(file.read_text())):
        command = task.get("ansible.builtin.command", {})
        if any(name in str(command) for name in started):
            assert command.get("chdir") == "/", task["name"]


def test_they_take_nothing_from_an_environment_either() -> None:
    variables = yaml.safe_load((TASKS.parent / "vars" / "main.yml").read_text())
    assert "'-I', '-m', 'pip'" in " ".join(variables["__checkniner_backups_pip"].split())
    files = [yaml.safe_load((TASKS / f"{name}.yml").read_text()) for name in ("install/engine", "install/virtualenv")]
    tasks = [task for file in files for task, _ in tasks_of(file)]
    started = [task for task in tasks if "chdir" in task.get("ansible.builtin.command", {})]
    assert len(started) >= 4
    assert all("-I" in str(task) or "_pip " in str(task) or "_command " in str(task) for task in started)
