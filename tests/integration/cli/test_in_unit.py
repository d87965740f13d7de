"""A tick in a unit of systemd, which ends every process of the unit with the tick and fences in what it starts: what
the tick leaves to other units, and what these do."""

from __future__ import annotations

import json
import time
from pathlib import Path

from sandbox.server import Server
from tests.integration.monitoring.test_commands import events, set_up


def tick(server: Server, log: Path, status: int = 0) -> None:
    done = server.run("--log", str(log), "run", "--in-unit", check=False)
    assert done.returncode == status, done.stderr
    assert log.read_text().endswith(done.stderr)  # the journal's and the log's lines are the same


def kept(server: Server) -> list[str]:
    return [path.name for path in server.state_path.iterdir() if path.name.startswith(".rehearsal-")]


def last_tick(server: Server) -> dict[str, object]:
    return dict(json.loads((server.state_path / "last_tick.json").read_text()))


def test_what_a_tick_starts_elsewhere_is_left_to_other_units(server: Server) -> None:
    told = set_up(server)
    server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="full")
    log = server.state_path / "unit.log"
    tick(server, log)
    time.sleep(0.5)
    assert len(kept(server)) == 1
    assert not (server.state_path / "rehearsal.lock").exists()  # no process has begun to rehearse

    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="/does/not/exist")
    tick(server, log, 4)
    assert events(told) == []
    server.run("tell")
    assert events(told) == ["failure"]
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="activate")
    tick(server, log)
    server.run("tell")
    server.run("tell")
    assert events(told) == ["failure", "recovery"]
    assert "works again" in told.with_suffix(".text").read_text()


def test_a_tick_that_was_killed_is_remembered_and_told_by_another_unit(server: Server) -> None:
    told = set_up(server)
    server.tick()
    argv = [
        server.command,
        "--environment",
        server.environment_file,
        "--log",
        "/no/such/log",
        "tell",
        "--killed",
    ]
    monitored = {"MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": "KILL", "MONITOR_SERVICE_RESULT": "oom-kill"}

    by_itself = {"MONITOR_EXIT_CODE": "exited", "MONITOR_EXIT_STATUS": "7", "MONITOR_SERVICE_RESULT": "exit-code"}
    server.application.owner.run(argv, environment=by_itself)  # it has told that itself
    assert last_tick(server)["status"] == 0
    assert events(told) == []

    done = server.application.owner.run(argv, environment=monitored)
    assert "the log /no/such/log cannot be written: No such file or directory" in done.stderr
    assert last_tick(server)["status"] == 137
    assert last_tick(server)["message"] == "the tick was killed by signal KILL (systemd calls it oom-kill)"
    assert events(told) == ["failure"]
    server.tick()
    assert events(told) == ["failure", "recovery"]
