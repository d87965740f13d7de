"""Metrics, judged by Prometheus' own promtool; the alert rules and the dashboard that are made for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkniner_backups.monitoring.metrics import PREFIX, exposition, families
from checkniner_backups.settings import Settings, StoreSettings
from checkniner_backups.state.last_backup import Fingerprint, LastBackup
from checkniner_backups.state.last_rehearsal import FAILED, LastRehearsal
from checkniner_backups.state.last_tick import LastTick, next_tick, parse_tick
from checkniner_backups.state.pause import Pause

from sandbox.promtool import promtool
from sandbox.server import Server
from tests.meta.source import ROOT
from tests.plugins.application import RunningApplication

EXAMPLES = ROOT / "examples" / "monitoring"
SETTINGS = Settings("checkniner", Path("/app"), Path("/venv"), Path("/state"), StoreSettings())
BACKUP = LastBackup(
    at=1e9, archive_settings="", database_id="", snapshot_token="", business_tables=(), ignored={},
    fingerprint=Fingerprint(), fixtures={}, full_check_at=1e9 + 0.25, django="4.2", key="db/key", size=1 << 40,
    sha256="", seen_in_store_at=1e9 + 1,
)  # fmt: skip
REHEARSAL = LastRehearsal(1e9, FAILED, "", "", "", "", "", 3.0, "")
TICK = LastTick(1e9, 7, good_at=1.0, failing_since=1e9, key_expiry={"F1": 2e9, "F2": 0.0})
EVERY = families(SETTINGS, TICK, BACKUP, REHEARSAL, Pause(2e9, "moved", 1e9))


def judged(text: str) -> str:
    """Return what promtool says of metrics: nothing where all is well."""
    done = subprocess.run([promtool(), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or ("" if done.returncode == 0 else "failed")


def samples(text: str) -> dict[str, float]:
    """Return the values by name, of metrics without labels of their own."""
    found = re.findall(rf'^{PREFIX}(\w+)\{{application="checkniner"\}} (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_promtool_finds_no_fault_in_any_metric() -> None:
    text = exposition(EVERY, {"application": 'a "quoted" \\ name\nof ü \udcff'})
    assert judged(text) == ""
    assert {name for name, *_ in EVERY} == set(re.findall(rf"^# TYPE {PREFIX}(\w+) ", text, re.MULTILINE))
    assert 'application="a \\"quoted\\" \\\\ name\\nof ü ?"' in text
    assert 'fingerprint="F1"} 2000000000\n' in text
    assert 'fingerprint="F2"} +Inf\n' in text


def test_promtool_would_find_one() -> None:
    assert "counter metrics should have" in judged(exposition([("runs", "counter", "Text.", [({}, 1)])], {}))


def test_numbers_are_as_exact_as_they_should_be() -> None:
    text = exposition([("a", "gauge", "Text \\ of\nlines.", [({}, each) for each in (0.1234, 1e15, float("nan"))])], {})
    assert text == (
        f"# HELP {PREFIX}a Text \\\\ of\\nlines.\n# TYPE {PREFIX}a gauge\n"
        f"{PREFIX}a{{}} 0.123\n{PREFIX}a{{}} 1000000000000000\n{PREFIX}a{{}} NaN\n"
    )


def test_what_is_not_known_has_no_sample() -> None:
    text = exposition(
        families(SETTINGS, LastTick(1e9, 7, failing_since=1e9), None, None), {"application": "checkniner"}
    )
    assert judged(text) == ""
    assert samples(text) == {
        "late_after_seconds": 1800, "runs_total": 0, "failed_runs_total": 0, "last_run_timestamp_seconds": 1e9,
        "last_run_duration_seconds": 0, "last_run_exit_status": 7, "last_run_failed": 1,
    }  # fmt: skip


def test_ticks_are_counted_and_what_is_known_of_keys_is_kept() -> None:
    first = next_tick(None, 1.0, 0, key_expiry={"F": 5.0})
    third = next_tick(next_tick(first, 2.0, 7), 3.0, 13)
    assert (third.runs, third.failed_runs, third.key_expiry) == (3, 1, {"F": 5.0})
    assert parse_tick(third.to_json()) == third
    assert parse_tick(json.dumps({"version": 1, "at": 1.0, "status": 0, "key_expiry": {"F": "soon"}})) is None
    assert parse_tick(json.dumps({"version": 1, "at": 1.0, "status": 0, "key_expiry": [1]})) is None
    assert parse_tick('{"version": 1, "at": 1.0, "status": 0}') == LastTick(1.0, 0)  # of an earlier version


@pytest.fixture
def metrics(server: Server) -> Path:
    """The file that the server's ticks write, in a folder of the owner's."""
    folder = server.application.folder / "textfile"
    folder.mkdir(mode=0o755)
    server.application.owner.own(folder)
    server.write_environment(CHECKNINER_BACKUPS_METRICS_FILE=str(folder / "checkniner.prom"))
    return folder / "checkniner.prom"


def test_each_tick_writes_good_or_bad(server: Server, application: RunningApplication, metrics: Path) -> None:
    began = time.time()
    saved = server.tick()
    assert list(metrics.parent.iterdir()) == [metrics]
    assert metrics.stat().st_mode & 0o777 == 0o644
    text = metrics.read_text()
    assert judged(text) == ""
    first = samples(text)
    assert first["last_archive_size_bytes"] == saved["size"]
    assert (first["runs_total"], first["failed_runs_total"], first["last_run_exit_status"]) == (1, 0, 0)
    assert began - 1 <= first["last_archive_timestamp_seconds"] <= first["last_run_timestamp_seconds"] <= time.time()
    assert first["last_success_timestamp_seconds"] == first["last_run_timestamp_seconds"]
    assert 0.1 < first["last_run_duration_seconds"] < 60
    assert re.search(
        rf'^{PREFIX}key_expiry_timestamp_seconds{{.*fingerprint="[0-9A-F]{{40}}"}} \+Inf$', text, re.MULTILINE
    )
    for secret in (server.environment["S3_SECRET_KEY"], application.database.url, server.environment["S3_ACCESS_KEY"]):
        assert secret not in text
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="/does/not/exist")
    assert server.run("run", check=False).returncode == 4
    second = samples(metrics.read_text())
    assert (second["runs_total"], second["failed_runs_total"], second["last_run_exit_status"]) == (2, 1, 4)
    assert second["last_success_timestamp_seconds"] == first["last_success_timestamp_seconds"]
    assert second["last_run_failed"] == 1
    assert "key_expiry_timestamp_seconds{" in metrics.read_text()  # this tick did not look at the keys


def test_a_folder_that_cannot_be_written_fails_no_backup(server: Server, metrics: Path) -> None:
    metrics.parent.rmdir()
    done = server.run("run")
    assert f"cannot write the metrics to {metrics}: No such file or directory" in done.stderr
    assert server.keys()
    done = server.run("check", check=False)
    assert done.returncode == 3
    assert f"the metrics cannot be written into {metrics.parent}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user: run as root")
def test_the_wrong_user_runs_and_writes_nothing(server: Server, metrics: Path) -> None:
    """The owner writes what the commands are: root must not run them."""
    told = metrics.parent / "told"
    commands = json.dumps([["touch", str(told)]])
    server.write_environment(CHECKNINER_BACKUPS_ON_FAILURE_COMMANDS=commands)
    argv = [server.command, "--environment", server.environment_file, "run"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert list(metrics.parent.iterdir()) == []


def test_the_alert_rules_do_what_they_say() -> None:
    for argv in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool(), *argv], cwd=EXAMPLES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    rules = [rule["alert"] for group in yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
             for rule in group["rules"]]  # fmt: skip
    tests = yaml.safe_load((EXAMPLES / "alerts_test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each.get("exp_alerts")}
    silent = {each["alertname"] for each in tests[0]["alert_rule_test"]}
    assert set(rules) == fired == silent


def dashboard() -> dict[str, Any]:
    return dict(json.loads((EXAMPLES / "dashboard.json").read_text()))


def test_rules_and_dashboard_ask_for_metrics_that_there_are() -> None:
    told = {PREFIX + name for name, *_ in EVERY}
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    expressions = [rule["expr"] for group in yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
                   for rule in group["rules"]]  # fmt: skip
    for expression in (*panels, *expressions):
        asked = set(re.findall(rf"{PREFIX}\w+", expression))
        assert asked, expression
        assert asked <= told, asked - told


def test_promtool_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel_{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_the_page_lists_every_metric() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    table = text.partition("<!-- metrics -->")[2].partition("<!-- end -->")[0]
    listed = re.findall(r"^\| `(\w+)(?:\{\w+\})?` \| (.+) \|$", table, re.MULTILINE)
    assert listed == [(PREFIX + name, help_text) for name, _, help_text, _ in EVERY]
