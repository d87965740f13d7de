"""A setting is declared once, in the engine: the role writes each one, and its defaults are the engine's."""

from __future__ import annotations

import re
from typing import Any

from checkniner_backups.settings import defaults as engine_defaults

from .source import ROOT
from .test_role_variables import ROLE, defaults

_LINE = re.compile(r"^  '([A-Z0-9_]+)': (?:__)?(checkniner_backups_\w+)", re.MULTILINE)
OF_NO_INVENTORY = {"S3_SESSION_TOKEN"}
"""A session's token ends within hours: no server can use one, a shell of the operator's can."""
FORMER = {"CHECKNINER_BACKUPS_WATCHDOG_URL", "CHECKNINER_BACKUPS_CLEAN_WATCHDOG_URL"}


def written() -> dict[str, str]:
    """Return the variables of the environment that the role writes, each with the role's variable."""
    return dict(_LINE.findall((ROLE / "templates" / "environment.j2").read_text()))


def as_written(value: Any) -> Any:
    """Return a default of the role as the engine would hold it."""
    return tuple(value) if isinstance(value, list) else value


def test_the_role_writes_every_setting_and_no_other() -> None:
    assert written().keys() == (engine_defaults().keys() | FORMER) - OF_NO_INVENTORY


def test_the_defaults_of_the_role_are_those_of_the_engine() -> None:
    compared = 0
    for variable, default in engine_defaults().items():
        name = written().get(variable, "")
        of_role = defaults().get(name)
        if default is None or name not in defaults() or (isinstance(of_role, str) and "{{" in of_role):
            continue  # must be set, or follows from other variables
        assert as_written(of_role) in (default, default or ""), f"{name}: {of_role!r}, in the engine {default!r}"
        compared += 1
    assert compared > 25


def test_the_settings_of_the_engine_are_named_in_the_template_alone() -> None:
    """What a task exports besides would be a setting that is declared in a second place."""
    text = "".join(path.read_text() for path in (ROOT / "roles").rglob("tasks/**/*.yml"))
    named = set(re.findall(r"CHECKNINER_BACKUPS_[A-Z_]+", text)) - {"CHECKNINER_BACKUPS_ADMIN_DATABASE_URL"}
    assert not named & engine_defaults().keys()
