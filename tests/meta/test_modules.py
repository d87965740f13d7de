"""The Ansible modules: documented as `ansible-doc` reads it, used by a playbook, tested, and thin."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from .source import ROOT, absolute_imports

MODULES = sorted((ROOT / "library").glob("*.py"))
NAMES = [path.stem for path in MODULES]


@lru_cache
def rendered() -> tuple[dict[str, Any], str]:
    """What `ansible-doc` says of all modules, and what it complains about."""
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "-t", "module", "--json", *NAMES],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr


def test_ansible_doc_has_no_complaint() -> None:
    assert not rendered()[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented(name: str) -> None:
    told = rendered()[0][name]
    assert told["doc"]["short_description"]
    assert told["doc"]["author"]
    assert {"check_mode", "diff_mode"} <= told["doc"]["attributes"].keys()
    assert told["return"]
    (example,) = yaml.safe_load(told["examples"])[:1]
    assert name in example
    known = told["doc"].get("options", {})
    assert set(example[name] or {}) <= known.keys(), "the example has an option that does not exist"
    assert {option for option, facts in known.items() if facts.get("required")} <= set(example[name] or {})


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_are_those_of_the_documentation(name: str) -> None:
    """The argument spec in `main`, as text: modules cannot be imported without Ansible's own loader."""
    options = rendered()[0][name]["doc"].get("options", {})
    source = (ROOT / "library" / f"{name}.py").read_text()
    shared = _shared_arguments()
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            for each in ast.walk(node):
                if isinstance(each, ast.Dict) and not found:
                    for key, value in zip(each.keys, each.values, strict=True):
                        if key is None and isinstance(value, ast.Name):
                            found |= shared[value.id]
                        elif isinstance(key, ast.Constant):
                            found.add(str(key.value))
                elif isinstance(each, ast.Name) and each.id in shared and not found:
                    found |= shared[each.id]
    assert found == options.keys()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_used_and_tested(name: str) -> None:
    played_here = [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/tasks/*.yml")]
    tasks = [*ROOT.glob("roles/*/tasks/**/*.yml"), *(path for path in played_here if path.exists())]
    assert any(f"{name}:" in path.read_text() for path in tasks), f"no task uses {name}"
    tests = [path for path in ROOT.glob("tests/**/*.py") if "meta" not in path.parts]
    users = [path for path in tasks if f"{name}:" in path.read_text()]
    # Whole playbooks are run by tests/docs and tests/playbooks, and their task files with them.
    played = {"backup", "clean", "database", "drill", "prove", "prune", "undo", "which_database", "list",
              "show_overview", "timeline", "peek"}  # fmt: skip
    direct = any(name in path.read_text() for path in tests)
    assert direct or any(user.parent.name in ("restore", "stages", "install") or user.stem in played for user in users)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_it_is_thin(path: Path) -> None:
    """Arguments in, an engine call, a result out: whoever needs a client library here decides too much."""
    assert not absolute_imports(path) & {"boto3", "botocore", "psycopg", "gnupg", "dj_database_url", "subprocess"}
    tree = ast.parse(path.read_text())
    code = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert sum((node.end_lineno or 0) - node.lineno + 1 for node in code) <= 120


def _shared_arguments() -> dict[str, set[str]]:
    tree = ast.parse((ROOT / "module_utils" / "checkniner_module.py").read_text())
    return {
        node.target.id: {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Dict)
    }
