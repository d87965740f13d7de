"""The order of the engine's packages: who may import whom. docs/architecture.md tells it in words."""

from __future__ import annotations

import graphlib

from .source import ROOT, absolute_imports, engine_imports, engine_modules

# Lowest first. A package or a single module imports from those before it and from its own.
ORDER = (
    "errors", "settings", "system", "state", "monitoring", "postgres", "storage", "openpgp", "openssh", "django_app",
    "archive", "history", "verify", "backup", "restore", "rehearsal", "drill", "emergency", "pruning", "maintenance",
    "overview", "cli",
)  # fmt: skip
OUTSIDE_SYSTEMS = ("postgres", "storage", "openpgp", "openssh")


def place(name: str) -> int:
    """Given a module's dotted name, return the place of its package in the order (the engine's own: -1)."""
    return ORDER.index(name.partition(".")[0]) if name else -1


def test_every_module_is_in_a_package_of_the_order() -> None:
    homeless = [name for name in engine_modules() if name and name.partition(".")[0] not in ORDER]
    assert not homeless, f"no package of ORDER holds {', '.join(homeless)}"


def test_every_package_of_the_order_is_there() -> None:
    packages = {name.partition(".")[0] for name in engine_modules()}
    assert not set(ORDER) - packages


def test_imports_go_down_only() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in engine_imports().items()
        for other in others
        if place(other) > place(name)
    ]
    assert not wrong, "; ".join(wrong)


def test_outside_systems_do_not_know_each_other() -> None:
    for name, others in engine_imports().items():
        here = name.partition(".")[0]
        if here in OUTSIDE_SYSTEMS:
            neighbours = {other.partition(".")[0] for other in others} & set(OUTSIDE_SYSTEMS) - {here}
            assert not neighbours, f"{name} imports {neighbours}"


def test_there_are_no_circles() -> None:
    imports = engine_imports()
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"these import each other in a circle: {' -> '.join(reversed(error.args[1]))}") from None


def test_the_engine_knows_no_ansible_and_no_test() -> None:
    strangers = {"ansible", "sandbox", "tests", "pytest", "django"}
    for name, path in engine_modules().items():
        allowed = {"django"} if name.startswith("django_app.worker") else set()
        assert not absolute_imports(path) & (strangers - allowed), name


def test_the_worker_needs_nothing_of_the_engine() -> None:
    """It runs in the application's interpreter: the standard library, Django, and its own folder."""
    for name, others in engine_imports().items():
        if name.startswith("django_app.worker"):
            assert all(other.startswith("django_app.worker") for other in others), name


def test_tests_lie_in_the_same_packages() -> None:
    packages = {name.partition(".")[0] for name in engine_modules() if "." in name}
    folders = {
        path.parent.name for kind in ("unit", "integration") for path in (ROOT / "tests" / kind).glob("*/test_*.py")
    }
    assert not packages - folders, "no test is found where a reader looks for it"
    assert not folders - packages - {"sandbox"}
