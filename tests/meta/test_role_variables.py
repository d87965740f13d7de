"""Every public variable of the role: with a default, a specification, and a line in the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from sandbox import reference

from .source import ROOT

ROLE = ROOT / "roles" / "checkniner_backups"

FORMER = {"checkniner_backups_full_look_every"}
"""Names of version 1.0, read for a version more where an inventory still sets them."""


def specification() -> dict[str, dict[str, Any]]:
    """Return the options of each entry point of the role."""
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return {entry: facts.get("options") or {} for entry, facts in specs.items()}


def defaults() -> dict[str, Any]:
    """Return the role's defaults."""
    return dict(yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()))


def test_defaults_and_specification_name_the_same() -> None:
    specified = {name for options in specification().values() for name in options}
    assert specified == defaults().keys()


def test_each_task_file_outside_the_folders_is_an_entry_point() -> None:
    """Ansible checks the variables by the specification that is called like the file, and checks none without one."""
    assert specification().keys() == {path.stem for path in (ROLE / "tasks").glob("*.yml")}


def test_playbooks_use_entry_points_alone() -> None:
    text = "".join(path.read_text() for path in ROOT.glob("playbooks/*.yml") if path.exists())
    used = re.findall(r"tasks_from: (\S+)", text)
    assert len(used) >= 7
    assert not set(used) - specification().keys()


def test_defaults_are_the_real_ones() -> None:
    for entry, options in specification().items():
        for name, facts in options.items():
            assert facts.get("description"), name
            assert facts.get("type"), name
            default = defaults()[name]
            if isinstance(default, str) and "{{" in default:
                assert "default" not in facts, f"{entry}: {name} follows from other variables"
            else:
                assert facts.get("default") == default, f"{entry}: {name}"


def test_secrets_are_marked() -> None:
    for options in specification().values():
        for name, facts in options.items():
            if re.search(r"secret|password|_url$", name) and not name.endswith("endpoint_url"):
                assert facts.get("no_log") is True, name


def test_the_page_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run make docs"


def test_the_specification_says_what_the_defaults_say() -> None:
    assert reference.SPECIFICATION.read_text() == reference.specification(), "run make docs"


def test_the_specification_is_no_template() -> None:
    """Ansible would render it, descriptions too, before it reads it."""
    assert "{{" not in reference.SPECIFICATION.read_text()
    assert "{%" not in reference.SPECIFICATION.read_text()


def test_every_variable_says_what_it_means() -> None:
    told = {each.name: each for each in reference.variables()}
    assert told.keys() == defaults().keys()
    assert not [name for name, each in told.items() if len(each.meaning) < 15]


def test_tasks_use_what_is_declared_and_nothing_else() -> None:
    text = "".join(
        path.read_text() for folder in ("tasks", "vars", "templates") for path in (ROLE / folder).rglob("*.*")
    ) + "".join(path.read_text() for path in (ROOT / "playbooks").glob("*.yml") if path.exists())
    used = set(re.findall(r"(?<![\w])checkniner_backups_\w+", text))
    registered = set(re.findall(r"register: (checkniner_backups_\w+)", text))
    registered |= set(re.findall(r"^ +(checkniner_backups_\w+):(?: |$)", text, re.MULTILINE))
    unknown = used - defaults().keys() - registered - {"checkniner_backups_hosts"} - FORMER
    assert not unknown, unknown
    assert not defaults().keys() - used, "declared, and used by nobody"


def variables_of(node: Any) -> Iterator[str]:
    """Yield the names that plays and tasks set: `vars`, `register`, and the variable of a loop."""
    if isinstance(node, list):
        for each in node:
            yield from variables_of(each)
    elif isinstance(node, dict):
        yield from node.get("vars") or ()
        yield from (node[name] for name in ("register", "loop_var") if isinstance(node.get(name), str))
        for each in node.values():
            yield from variables_of(each)


def test_no_name_of_ours_can_be_a_name_of_the_users_play() -> None:
    """What a play has registered or set as a fact counts more than the variables of a task or a play."""
    paths = [*ROLE.glob("tasks/**/*.yml"), *(path for path in ROOT.glob("playbooks/*.yml") if path.exists())]
    assert len(paths) > 40
    ours = re.compile(r"(__)?checkniner_backups_|ansible_")
    wrong = {
        f"{path.name}: {name}"
        for path in paths
        for name in variables_of(yaml.safe_load(path.read_text()))
        if not ours.match(name)
    }
    assert not wrong
