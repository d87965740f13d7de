"""Nobody does with root what the application's owner can do: who runs each task of the role, and what it touches.

An entry point (a task file outside the folders) becomes the owner in one place; a task below it runs as the owner, or
says who else. So a task that says nothing gets the least power, not the most.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

TASKS = Path(__file__).parents[2] / "roles" / "checkniner_backups" / "tasks"
FILES = sorted(TASKS.rglob("*.yml"))
ENTRY_POINTS = sorted(TASKS.glob("*.yml"))
OWNER = "{{ checkniner_backups_owner }}"
ROOT = "{{ checkniner_backups_administrator }}"
SUPERUSER = "{{ __checkniner_backups_admin_user }}"
CONNECTED = "who is connected"
HERE = "the control machine"
OWNERS = (
    "checkniner_backups_application_path", "checkniner_backups_virtualenv", "__checkniner_backups_activate",
    "__checkniner_backups_gnupg_home", "__checkniner_backups_restore_path", "checkniner_backups_state_path }}/",
)  # fmt: skip
# What needs nobody's rights, and is asked before it is known who the owner is, or where the owner may not look.
OF_WHO_IS_CONNECTED = {
    "Look who is connected", "Look for the application's owner", "Look which Python the server has",
    "Look what is installed", "Look whether this application was set up before",
    "Look whether the server's systemd takes the timers", "Look whether systemd runs the server",
}  # fmt: skip
LOCAL = {f"ansible.builtin.{name}" for name in ("assert", "debug", "fail", "set_fact")}
INCLUDES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")

Task = tuple[dict[str, Any], str]


def name_of(file: Path) -> str:
    """Given a task file, return its path below tasks/, without the suffix."""
    return file.relative_to(TASKS).with_suffix("").as_posix()


def user_of(entry: dict[str, Any], inherited: str) -> str:
    """Given a task or a block, and who runs what is around it, return who runs it."""
    if entry.get("delegate_to") == "localhost":
        assert entry["become"] is False, entry["name"]
        assert entry["vars"]["ansible_become"] is False, entry["name"]
        return HERE
    if entry.get("become") is False:
        return inherited if inherited == HERE else CONNECTED
    assert ("become" in entry) == ("become_user" in entry), f"{entry['name']}: becomes somebody, or whom?"
    return str(entry.get("become_user", inherited))


def tasks_of(entries: list[dict[str, Any]], user: str = CONNECTED) -> Iterator[Task]:
    """Given tasks, yield each that does something, blocks opened, and as whom it runs."""
    for entry in entries:
        own = user_of(entry, user)
        parts = [part for name in ("block", "rescue", "always") for part in entry.get(name, [])]
        if parts:
            yield from tasks_of(parts, own)
        else:
            yield entry, own


def read(file: Path) -> list[dict[str, Any]]:
    """Given a task file, return its tasks."""
    return list(yaml.safe_load(file.read_text()))


def played(file: Path, user: str = CONNECTED) -> Iterator[Task]:
    """Given a task file and who runs what includes it, yield each task that does something, and as whom it runs."""
    for task, own in tasks_of(read(file), user):
        included = next((task[name] for name in INCLUDES if name in task), None)
        if included is None:
            yield task, own
        else:
            assert not {"become", "become_user"} & task.keys(), f"{task['name']}: an include does not hand that on"
            name = included["file"] if isinstance(included, dict) else included
            # The engine tells the stages of a restore: each of the files may be the one.
            for each in sorted(TASKS.glob(name.replace("{{ __checkniner_backups_stage }}", "*"))):
                yield from played(each, own)


def remote(file: Path) -> list[Task]:
    """Given an entry point, return the tasks that are done on the server, in their order, and as whom."""
    return [(task, own) for task, own in played(file) if own != HERE and not LOCAL & task.keys()]


@pytest.mark.parametrize("file", ENTRY_POINTS, ids=name_of)
def test_root_touches_nothing_of_the_applications(file: Path) -> None:
    for task, user in played(file):
        if user not in (OWNER, HERE) and not LOCAL & task.keys():
            assert not [name for name in OWNERS if name in str(task)], f"{task['name']}, as {user}"


def test_there_are_tasks_of_each() -> None:
    users = [user for task, user in remote(TASKS / "main.yml")]
    assert users.count(ROOT) >= 20
    assert users.count(OWNER) >= 15
    assert {user for file in ENTRY_POINTS for _, user in remote(file)} == {OWNER, ROOT, SUPERUSER, CONNECTED}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_only_an_entry_point_becomes_the_owner_and_in_one_place(file: Path) -> None:
    count = file.read_text().count(f'become_user: "{OWNER}"')
    assert count <= (file in ENTRY_POINTS)


@pytest.mark.parametrize("file", ENTRY_POINTS, ids=name_of)
def test_little_is_left_to_who_is_connected(file: Path) -> None:
    """It may be root: what is included outside the block that becomes the owner would be root's."""
    assert {task["name"] for task, user in remote(file) if user == CONNECTED} <= OF_WHO_IS_CONNECTED


def test_every_file_is_played_by_an_entry_point() -> None:
    names = {task["name"] for file in ENTRY_POINTS for task, _ in played(file)}
    for file in FILES:
        own = {task["name"] for task, _ in tasks_of(read(file)) if not set(INCLUDES) & task.keys()}
        assert not own - names, name_of(file)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_an_interpreter_finds_no_modules_where_it_happens_to_start(file: Path) -> None:
    """`python -m` looks there first, and that may be a folder where others write."""
    started = ("checkniner_backups_python }}", "checkniner_backups_python,", "__checkniner_backups_pip ")
    for task, _ in tasks_of(read(file)):
        command = task.get("ansible.builtin.command", {})
        if any(name in str(command) for name in started):
            assert command.get("chdir") == "/", task["name"]


def test_they_take_nothing_from_an_environment_either() -> None:
    variables = yaml.safe_load((TASKS.parent / "vars" / "main.yml").read_text())
    assert "'-I', '-m', 'pip'" in " ".join(variables["__checkniner_backups_pip"].split())
    tasks = [task for name in ("engine", "virtualenv") for task, _ in tasks_of(read(TASKS / "install" / f"{name}.yml"))]
    started = [task for task in tasks if "chdir" in task.get("ansible.builtin.command", {})]
    assert len(started) >= 4
    assert all("-I" in str(task) or "_pip " in str(task) or "_command " in str(task) for task in started)
