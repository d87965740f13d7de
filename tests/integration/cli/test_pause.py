"""A pause of the ticks, as the application's owner meets it."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

from checkniner_backups.state.folder import State

from sandbox.server import Server
from tests.integration.monitoring.test_commands import events, set_up
from tests.plugins.application import RunningApplication
from tests.ticking import start


def pause_file(server: Server, **changes: float) -> None:
    """Change what the pause says."""
    path = server.state_path / "pause.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_paused_ticks_do_nothing_until_the_end(server: Server, application: RunningApplication) -> None:
    told = set_up(server)
    metrics = server.state_path / "metrics.prom"
    server.write_environment(CHECKNINER_BACKUPS_METRICS_FILE=str(metrics))
    first = server.tick()
    before = (server.state_path / "last_tick.json").read_bytes()
    end = datetime.now(timezone.utc) + timedelta(hours=2)
    said = server.run("pause", "--until", f"{end:%Y-%m-%d %H:%M}Z", "--reason", "a big import").stdout
    sentence = f"paused until {end:%Y-%m-%d %H:%M} UTC: a big import"
    assert said == f"ticks are {sentence}\n"

    application.change()
    tick = server.run("run")
    assert tick.stdout == ""
    assert tick.stderr.count(f"INFO {sentence}") == 1
    assert len(tick.stderr.splitlines()) == 1
    assert json.loads(server.run("run", "--json").stdout) == {"paused": sentence, "saved": False}
    assert (server.state_path / "last_tick.json").read_bytes() == before
    assert server.keys() == [first["key"]]
    assert events(told) == []
    assert "checkniner_backups_paused_until_timestamp_seconds{" in metrics.read_text()
    status = server.run("status", check=False)
    assert (status.returncode, status.stdout.splitlines()[0]) == (18, f"NOT WELL: {sentence}")
    assert json.loads(server.run("status", "--json", check=False).stdout)["pause"]["reason"] == "a big import"

    by_hand = server.run("backup", "--force", "--json")
    assert f"ticks are {sentence}; this backup is made all the same" in by_hand.stderr
    assert len(server.keys()) == 2

    pause_file(server, until=time.time() - 60)
    went_on = server.run("run")
    assert "ticks go on: they were paused until" in went_on.stderr
    assert not (server.state_path / "pause.json").exists()
    assert "paused_until" not in metrics.read_text()
    assert "paused" not in server.run("status", check=False).stdout


def test_a_pause_waits_for_a_tick_and_a_damaged_one_keeps_none_off(server: Server) -> None:
    server.tick()
    with State(server.state_path).lock():
        pausing = start(server, "pause", "--until", "2000-01-01 00:00", "--reason", "over")
        assert pausing.wait(30) == 3
        end = datetime.now(timezone.utc) + timedelta(hours=2)
        pausing = start(server, "pause", "--until", f"{end:%Y-%m-%d %H:%M}Z", "--reason", "wait")
        time.sleep(1.5)
        assert pausing.poll() is None
    assert pausing.wait(30) == 0
    assert server.run("resume").stdout == "ticks go on with the next one\n"
    assert server.run("resume").stdout == "ticks are not paused\n"
    (server.state_path / "pause.json").write_text("{")
    tick = server.run("run")
    assert "pause.json is damaged" in tick.stderr
    assert "unchanged" in tick.stderr
    server.run("resume")
    assert not (server.state_path / "pause.json").exists()
