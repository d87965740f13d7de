"""The example application with pairs of rows across two apps: a dump that is not of one instant breaks a pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.change_checks import ChangeChecks
from tests.plugins.application import RunningApplication

PAIRS = """
WITH pair AS (SELECT md5(random()::text) AS name FROM generate_series(1, {count}))
, one AS (INSERT INTO auth_group (name) SELECT name FROM pair)
INSERT INTO checkouts_aircrafttype (name, sorted_position) SELECT name, 5 FROM pair
"""
"""An invariant across two apps: there are as many groups as types of aircraft, by the same names."""


@pytest.fixture
def checks(application: RunningApplication, tmp_path: Path) -> ChangeChecks:
    """ChangeChecks at the example application, with pairs of rows that must stay pairs."""
    application.database.execute("TRUNCATE auth_group, checkouts_aircrafttype CASCADE")
    application.database.execute(PAIRS.format(count=3000))
    return ChangeChecks(application, tmp_path, lock_timeout=2.0, migration_wait=3.0, attempts=8)


def check(checks: ChangeChecks, at_least: int = 1) -> tuple[int, int]:
    """Check what the last look dumped: SQL, fixtures and counts agree, and the invariants hold.

    :returns: the number of pairs, and the sum of all pilots' weights
    """
    groups = {row[1] for row in checks.rows("auth_group")}
    types = {row[1] for row in checks.rows("checkouts_aircrafttype")}
    assert groups == types, f"{len(groups)} groups, {len(types)} types in the SQL"
    assert {each["fields"]["name"] for each in checks.objects("auth.group")} == groups
    assert {each["fields"]["name"] for each in checks.objects("checkouts.aircrafttype")} == groups
    weights = {row[0]: row[1] for row in checks.rows("checkouts_pilotweight")}
    objects = checks.objects("checkouts.pilotweight")
    assert {str(each["pk"]): str(each["fields"]["weight"]) for each in objects} == weights
    users = {row[0] for row in checks.rows("auth_user")}
    assert {str(each["pk"]) for each in checks.objects("auth.user")} == users
    assert checks.dumped.dataset
    counted = {table["name"]: table["rows"] for table in checks.dumped.dataset.tables}
    for name, found in (("auth_group", groups), ("checkouts_aircrafttype", types), ("auth_user", users),
                        ("checkouts_pilotweight", weights)):  # fmt: skip
        assert counted[name] == len(found) >= at_least, name
    return len(groups), sum(int(weight) for weight in weights.values())


def hooked(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, hook: Callable[[], None]) -> None:
    """Call the hook right before a function of the engine, the first time only."""
    original = getattr(module, name)
    calls = [hook]

    def wrapper(*arguments: Any, **named: Any) -> Any:
        if calls:
            calls.pop()()
        return original(*arguments, **named)

    monkeypatch.setattr(module, name, wrapper)
