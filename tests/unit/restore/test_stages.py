"""Which stages a restore has, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.restore.stages import Plan, RestoreOptions, Stage, check_archive, plan_of

ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "in the live database's place": (
        {"kind": "sql"},
        "create load | save swap save_between |",
    ),
    "and drop what was kept": (
        {"kind": "sql", "drop_older_than": 0.0},
        "create load | save swap save_between | drop_previous",
    ),
    "without a safety backup": (
        {"kind": "fixtures", "skip_safety_backup": True},
        "create load | swap |",
    ),
    "beside": ({"kind": "sql", "target": "copy", "drop_older_than": 3.0}, "create load settle | |"),
    "into the live one": ({"kind": "fixtures", "into_live": True, "apps": ("shop",)}, "| save replace |"),
    "into the live one, unsaved": (
        {"kind": "fixtures", "into_live": True, "skip_safety_backup": True},
        "| replace |",
    ),
    "elsewhere": ({"kind": "fixtures", "elsewhere": True}, "fill | |"),
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no source": ({"kind": ""}, "the source is ''"),
    "apps of SQL": ({"kind": "sql", "apps": ("shop",)}, "SQL is restored as a whole"),
    "two places": ({"kind": "fixtures", "target": "copy", "into_live": True}, "exclude each other"),
    "SQL into the live one": ({"kind": "sql", "into_live": True}, "a new PostgreSQL database only"),
    "SQL elsewhere": ({"kind": "sql", "elsewhere": True}, "a new PostgreSQL database only"),
    "no copy left": ({"kind": "sql", "skip_safety_backup": True, "drop_older_than": 0.0}, "no copy"),
    "a command in one string": ({"kind": "sql", "after": ("systemctl start shop",)}, "is not a list of words"),
    "a command of no words": ({"kind": "sql", "before": ((),)}, "is not a list of words"),
}


def shown(plan: Plan) -> str:
    lists = (plan.prepare, plan.stopped, plan.finish)
    return " ".join(" | ".join(" ".join(stage.value for stage in each) for each in lists).split())


@pytest.mark.parametrize(("asked", "stages"), ASKED.values(), ids=ASKED)
def test_what_is_asked_for_decides_the_stages(asked: dict[str, Any], stages: str) -> None:
    assert shown(plan_of(RestoreOptions(**asked))) == stages


def test_check_mode_leaves_out_what_needs_a_new_database() -> None:
    plan = plan_of(RestoreOptions("sql", drop_older_than=0.0), dry_run=True)
    assert shown(plan) == "create load | |"


def test_the_live_database_changes_only_while_the_application_is_stopped() -> None:
    """And never before what is there was saved, unless that was refused."""
    for asked, _ in ASKED.values():
        plan = plan_of(RestoreOptions(**asked))
        assert not {Stage.SWAP, Stage.REPLACE} & {*plan.prepare, *plan.finish}
        if plan.stopped and not asked.get("skip_safety_backup"):
            assert plan.stopped[0] is Stage.SAVE


@pytest.mark.parametrize(("asked", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_go_together_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan_of(RestoreOptions(**asked))


def test_one_archive_is_meant() -> None:
    for given in (("", "", ""), ("latest", "", ""), ("latest", "2026-11-20", ""), ("db/x", "", ""), ("", "", "/x")):
        check_archive(*given)
    check_archive("latest", "", "", "orders")
    for given in (("db/x", "2026-11-20", ""), ("", "2026-11-20", "/x"), ("db/x", "", "/x"), ("", "", "/x", "orders")):
        with pytest.raises(SettingsError, match="exclude each other"):
            check_archive(*given)
