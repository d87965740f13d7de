"""Nothing that runs on a server can remove from the store: the code that can is reached by the prune's module alone."""

from __future__ import annotations

import re

from .source import ENGINE, ROOT, engine_imports

REMOVAL = "storage.removal"


def reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    """Given a module of the engine and who imports whom, return all that it imports, directly or through others."""
    found, waiting = set(), [start]
    while waiting:
        for other in imports[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found


def test_the_prune_can_remove_and_nothing_else_can() -> None:
    imports = engine_imports()
    able = {name for name in imports if REMOVAL in reached(name, imports)}
    assert able == {"pruning.prune", "pruning.report"}


def test_one_module_of_ansible_uses_it() -> None:
    users = [path.stem for path in (ROOT / "library").glob("*.py") if re.search(r"removal|pruning", path.read_text())]
    assert users == ["checkniner_prune"]


def test_one_file_asks_the_store_to_remove() -> None:
    """`abort_stale_uploads` ends what never became an object."""
    asking = [path.name for path in ENGINE.rglob("*.py") if re.search(r"delete_(object|bucket)", path.read_text())]
    assert asking == ["removal.py"]


def test_the_store_itself_has_no_way() -> None:
    methods = re.findall(r"def (\w+)", (ENGINE / "storage" / "s3.py").read_text())
    assert not [name for name in methods if re.search(r"delete|remove|prune|expire", name)]
