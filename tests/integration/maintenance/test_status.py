"""What `status` says of ticks that fail or do not come: it must not be silent while nothing is saved."""

from __future__ import annotations

import json
import time

import pytest

from sandbox.server import Server
from tests.plugins.application import RunningApplication

NOT_WELL = 18


def told(server: Server, *, status: int) -> str:
    """Return what `status` says, which must end with this exit status."""
    done = server.run("status", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def aged(server: Server, seconds: float) -> None:
    """Let all that is remembered of ticks be so many seconds older."""
    path = server.state_path / "last_tick.json"
    tick = json.loads(path.read_text())
    for name in ("at", "good_at", "failing_since"):
        tick[name] = max(0, tick[name] - seconds)
    path.write_text(json.dumps(tick))


def test_ticks_that_fail_are_told_with_reason_and_hint_until_one_is_good(
    server: Server, application: RunningApplication
) -> None:
    server.tick()
    assert told(server, status=0).startswith("All is well: the newest archive is db/")
    database = application.database
    database.cluster.execute(f"ALTER ROLE {database.user} NOLOGIN")
    try:
        assert server.run("run", check=False).returncode == 5
        aged(server, 3 * 3600)
        assert server.run("run", check=False).returncode == 5  # the first failure is remembered
        said = told(server, status=NOT_WELL)
    finally:
        database.cluster.execute(f"ALTER ROLE {database.user} LOGIN")
    first = said.splitlines()[0]
    assert first.startswith(
        "NOT WELL: ticks have failed for 3 h (the last good one ended 3 h ago), with exit status 5: "
    )
    assert "not permitted to log in" in first
    assert not server.tick()["saved"]
    assert told(server, status=0).startswith("All is well")
    assert (server.state_path / "last_tick.json").stat().st_mode & 0o777 == 0o600


def test_ticks_that_do_not_come_are_told(server: Server) -> None:
    server.tick()
    aged(server, 1900)
    assert told(server, status=NOT_WELL).startswith("NOT WELL: the last tick ended 32 min ago: is cron at work")
    server.write_environment(CHECKNINER_BACKUPS_LATE_AFTER="7200")
    told(server, status=0)
    aged(server, -3 * 1900)  # a clock that was fast
    told(server, status=NOT_WELL)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 1}', '{"version": 2, "at": 1, "status": 0}'])
def test_a_damaged_record_is_no_record(server: Server, text: str) -> None:
    server.tick()
    (server.state_path / "last_tick.json").write_text(text)
    told(server, status=0)
    assert not server.tick()["saved"]
    assert json.loads((server.state_path / "last_tick.json").read_text())["good_at"] <= time.time()


def test_a_run_that_meets_another_one_says_nothing_of_itself(server: Server) -> None:
    import fcntl

    server.tick()
    before = (server.state_path / "last_tick.json").read_text()
    with (server.state_path / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert server.run("run", check=False).returncode == 75
    assert (server.state_path / "last_tick.json").read_text() == before
