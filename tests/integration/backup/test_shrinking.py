"""An accident: half of a table is gone between two ticks. It is saved, and said loudly, until somebody knows."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.server import Server
from tests.plugins.application import ROWS, RunningApplication
from tests.plugins.listening import Listener

NOT_WELL = 18
CHECKOUTS = "public.checkouts_checkout"


def metric(path: Path) -> int:
    lines = [line for line in path.read_text().splitlines() if line.startswith("checkniner_backups_shrunken_tables{")]
    return int(lines[0].rpartition(" ")[2])


def test_half_of_the_rows_are_gone(server: Server, application: RunningApplication, listener: Listener) -> None:
    path = application.state_path / "test.prom"
    server.write_environment(CHECKNINER_BACKUPS_METRICS_FILE=str(path),
                             CHECKNINER_BACKUPS_PING_SUCCESS_URL=f"{listener.url}/?m={{message}}")  # fmt: skip
    whole = server.tick()["key"]
    database = application.database
    kept = database.execute("SELECT count(*) FROM checkouts_checkout")[0][0]
    assert kept == ROWS
    database.execute(
        "DELETE FROM checkouts_checkout WHERE id IN (SELECT id FROM checkouts_checkout ORDER BY id LIMIT 10)"
    )
    assert "has lost" not in server.run("run").stderr
    assert server.run("status").returncode == 0
    assert metric(path) == 0
    nearly_whole = server.keys()[-1]
    assert nearly_whole != whole
    database.execute("DELETE FROM checkouts_checkout WHERE id % 3 <> 0")
    left = database.execute("SELECT count(*) FROM checkouts_checkout")[0][0]
    done = server.run("run")
    sentence = (
        f"{CHECKOUTS} has lost {ROWS - 10 - left} of its {ROWS - 10} rows; if that was an accident, {nearly_whole}"
        " still holds them"
    )
    assert done.stderr.count(sentence) == 1
    assert "WARNING" in next(line for line in done.stderr.splitlines() if sentence in line)
    assert len(server.keys()) == 3  # saved like any change
    assert sentence in listener.heard[-1].query["m"]
    assert metric(path) == 1
    application.change()
    assert "has lost" not in server.run("run").stderr  # said once in the log
    said = server.run("status", check=False)
    assert said.returncode == NOT_WELL
    assert sentence in said.stdout
    assert not server.tick()["saved"]
    assert metric(path) == 1
    server.run("backup", "--force")
    assert server.run("status").returncode == 0
    server.tick()
    assert metric(path) == 0


def test_it_is_told_for_a_week_and_can_be_switched_off(server: Server, application: RunningApplication) -> None:
    server.tick()
    application.database.execute("DELETE FROM checkouts_checkout")
    server.tick()
    assert server.run("status", check=False).returncode == NOT_WELL
    state = server.state_path / "state.json"
    text = json.loads(state.read_text())
    text["shrunk"][CHECKOUTS]["at"] -= 7 * 86400
    state.write_text(json.dumps(text))
    assert server.run("status").returncode == 0
    server.write_environment(CHECKNINER_BACKUPS_SHRINK_PERCENT="0")
    assert application.database.execute("SELECT count(*) FROM checkouts_airstrip")[0][0] >= 10
    application.database.execute("TRUNCATE checkouts_airstrip CASCADE")
    assert "has lost" not in server.run("run").stderr
    assert server.run("status").returncode == 0
