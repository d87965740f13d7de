"""setup-backups.yml --tags: each does its part of the set-up, with the settings of the inventory, and no other part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkniner_backups.settings import from_environment
from checkniner_backups.system.environment_file import read_environment_file

from tests.plugins.operated import Operated

CHANGED = {"checkniner_backups_lock_timeout": 7, "checkniner_backups_schedule": "*/7 * * * *"}
LINE = "*/7 * * * * "
SETTING = "CHECKNINER_BACKUPS_LOCK_TIMEOUT='7"


@pytest.fixture
def changed(operated: Operated) -> Iterator[Operated]:
    """The inventory says something new of each part, and there is something new to save."""
    kept = dict(operated.control.variables)
    before = environment(operated)
    operated.control.variables.update(CHANGED)
    operated.change()
    yield operated
    operated.control.variables.clear()
    operated.control.variables.update(kept)
    environment_file(operated).write_text(before)


def environment_file(operated: Operated) -> Path:
    return Path(operated.control.variables["checkniner_backups_config_path"]) / "checkniner.env"


def environment(operated: Operated) -> str:
    return environment_file(operated).read_text()


def play(operated: Operated, tag: str) -> str:
    """Play the part of the set-up and return what it says."""
    done = operated.control.play("setup-backups.yml", "--tags", tag)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_engine_installs_what_is_missing_and_nothing_else(changed: Operated) -> None:
    marker = Path(changed.control.variables["checkniner_backups_install_path"]) / "installed"
    digest, stored = marker.read_text(), changed.stored()
    marker.unlink()
    said = play(changed, "engine")
    assert marker.read_text() == digest
    assert LINE not in said
    assert SETTING not in environment(changed)
    assert changed.stored() == stored


def test_config_writes_the_settings_and_nothing_else(changed: Operated) -> None:
    stored = changed.stored()
    said = play(changed, "config")
    assert SETTING in environment(changed)
    assert LINE not in said
    assert changed.stored() == stored
    assert "changed=0" in play(changed, "config")


def test_config_hands_on_who_is_told(changed: Operated) -> None:
    commands = [["sh", "-c", 'it\'s a "quoted" $word\nand a line'], ["mail", 7]]
    metrics = f"{changed.state_path}/checkniner.prom"
    given = {"ping_start_url": "https://example.org/it's/{rid}", "ping_log": True, "on_failure_commands": commands,
             "metrics_file": metrics}  # fmt: skip
    changed.control.variables.update({f"checkniner_backups_{name}": value for name, value in given.items()})
    said = play(changed, "config")
    assert environment_file(changed).stat().st_mode & 0o777 == 0o600
    settings = from_environment(read_environment_file(environment_file(changed)))
    assert settings.pings["start"] == given["ping_start_url"]
    assert settings.pings["success"] == changed.control.variables["checkniner_backups_watchdog_url"]
    assert settings.ping_log
    assert settings.metrics_file == Path(metrics)
    assert settings.on_failure_commands == (tuple(commands[0]), ("mail", "7"))
    assert "https://example.org/it" not in said


def test_schedule_sees_to_the_crontab_and_nothing_else(changed: Operated) -> None:
    stored = changed.stored()
    said = play(changed, "schedule")
    assert LINE in said
    assert SETTING not in environment(changed)
    assert changed.stored() == stored


def test_schedule_prints_systemd_s_units_where_it_may_not_write_them(changed: Operated) -> None:
    changed.control.variables["checkniner_backups_scheduler"] = "systemd"
    said = play(changed, "schedule")
    assert "OnCalendar=*-*-* *:00/7:00" in said
    assert f"User={changed.application.owner.name}" in said
    assert "ProtectSystem=strict" in said
    assert f'ReadWritePaths=\\"{changed.state_path}\\"' in said
    assert LINE not in said

    changed.control.variables["checkniner_backups_schedule"] = "7/7 * * * *"
    done = changed.control.play("setup-backups.yml", "--tags", "schedule")
    assert done.returncode != 0
    assert "the schedule '7/7 * * * *' cannot be given to systemd" in " ".join(done.stdout.split())


def test_prove_saves_and_opens_and_changes_no_setting(changed: Operated) -> None:
    stored = changed.stored()
    said = play(changed, "prove")
    assert len(changed.stored()) == len(stored) + 1
    newest = max(key for key in changed.stored() if key.startswith("db/2"))
    assert f"PROVEN: this machine has opened {newest}" in " ".join(said.split())
    assert LINE not in said
    assert SETTING not in environment(changed)


def test_a_part_checks_the_settings_as_the_whole_does(changed: Operated) -> None:
    before = environment(changed)
    changed.control.variables["checkniner_backups_owner"] = "root"
    for tag in ("engine", "config", "schedule", "prove"):
        done = changed.control.play("setup-backups.yml", "--tags", tag)
        assert done.returncode != 0, tag
        assert "root and postgres are refused" in " ".join(done.stdout.split())
    assert environment(changed) == before
