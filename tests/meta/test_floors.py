"""The engine's rooms: who may import whom. This list is the map; docs/architecture.md tells it in words."""

from __future__ import annotations

import graphlib

from .source import absolute_imports, engine_imports, engine_modules

# Lowest first. A room imports from those below it and from its own. `name.` stands for all modules of a folder.
FLOORS: list[tuple[str, ...]] = [
    ("", "errors", "moment", "pipes", "terminal", "sql_rows"),
    ("settings", "manifest", "account"),
    ("application_side", "application_side."),
    ("gpg_process", "gpg", "gpg_stream"),
    ("leftovers", "state"),
    ("web", "watchdog", "store_policy", "store_client", "store_faults", "store_download", "store_upload", "store"),
    ("application", "postgres", "postgres."),
    ("fixtures_digest", "fixtures_report", "fixtures_program", "fixtures_interpreter", "fixtures"),
    ("inflater", "archive", "archive_reader", "catalogue", "source"),
    ("job", "changes", "watching", "dataset", "proof", "fixtures_proof"),
    ("looking", "saving", "backup", "retention", "swap", "restore", "fixtures_restore"),
    ("safety", "check", "drill_record", "drill"),
    ("status", "restoring", "elsewhere"),
    ("commands", "commands_restore", "cli", "launch"),
]


def floor(name: str) -> int | None:
    """Return the floor of a module, or None if nobody has said where it lives."""
    for number, rooms in enumerate(FLOORS):
        if name in rooms or any(room.endswith(".") and name.startswith(room) for room in rooms):
            return number
    return None


def test_every_module_has_its_floor() -> None:
    homeless = [name for name in engine_modules() if floor(name) is None]
    assert not homeless, f"say in FLOORS where they live: {', '.join(homeless)}"


def test_every_floor_has_its_modules() -> None:
    modules = engine_modules()
    gone = [room for rooms in FLOORS for room in rooms if not room.endswith(".") and room not in modules]
    assert not gone, f"FLOORS names what is gone: {', '.join(gone)}"


def test_nobody_imports_from_above() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in engine_imports().items()
        for other in others
        if (here := floor(name)) is not None and (there := floor(other)) is not None and there > here
    ]
    assert not wrong, "; ".join(wrong)


def test_there_are_no_circles() -> None:
    imports = engine_imports()
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"these import each other in a circle: {' -> '.join(reversed(error.args[1]))}") from None


def test_the_engine_knows_no_ansible_and_no_test() -> None:
    strangers = {"ansible", "sandbox", "tests", "pytest", "django"}
    for name, path in engine_modules().items():
        allowed = {"django"} if name.startswith("application_side") else set()
        assert not absolute_imports(path) & (strangers - allowed), name


def test_the_applications_side_needs_nothing_of_ours() -> None:
    """It runs in the application's interpreter: the standard library, Django, and its own folder."""
    for name, others in engine_imports().items():
        if name.startswith("application_side"):
            assert all(other.startswith("application_side") for other in others), name
