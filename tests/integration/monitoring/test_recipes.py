"""The recipes of docs/monitoring.md, word for word, against a listener with the paths of each service."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from sandbox.server import Server
from tests.meta.source import ROOT
from tests.plugins.application import RunningApplication
from tests.plugins.listening import Heard, Listener

_PREFIX = "checkniner_backups_ping_"


def recipe(service: str) -> dict[str, Any]:
    """Given a service's name, return the variables of its recipe, without what their names have in common."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    block = re.search(rf"```yaml\n# {re.escape(service)}\n(.*?)```", text, re.DOTALL)
    assert block
    return {name.removeprefix(_PREFIX): value for name, value in yaml.safe_load(block[1]).items()}


def heard_of(service: str, server: Server, listener: Listener) -> tuple[list[Heard], list[Heard]]:
    """Given a service, return what it hears of a tick that saves, and of one that fails."""
    for name, value in recipe(service).items():
        if name.endswith("_url"):
            parts = urlsplit(value)
            assert parts.scheme == "https"
            text = value.replace(f"https://{parts.netloc}", listener.url)
        else:
            text = "on" if value else "off"
        server.write_environment(**{f"CHECKNINER_BACKUPS_PING_{name.upper()}": text})
    assert server.tick()["saved"]
    good = list(listener.heard)
    listener.heard.clear()
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="/does/not exist & ü")
    assert server.run("run", check=False).returncode == 4
    assert listener.heard
    return good, listener.heard


def test_healthchecks(server: Server, application: RunningApplication, listener: Listener) -> None:
    good, bad = heard_of("Healthchecks", server, listener)
    for heard, last in ((good, "0"), (bad, "4")):
        assert [(each.method, each.path) for each in heard] == [("GET", "/UUID/start"), ("POST", f"/UUID/{last}")]
        assert heard[0].query == heard[1].query
        assert str(uuid.UUID(heard[0].query["rid"])) == heard[0].query["rid"]
        assert heard[0].body == ""
    assert good[0].query != bad[0].query
    assert f"saved {server.keys()[0]}" in good[1].body
    assert good[1].body.endswith(f"exit status 0: saved {server.keys()[0]}\n")
    assert "/does/not exist & ü" in bad[1].body
    assert "\nHINT: " in bad[1].body
    for secret in (server.environment["S3_SECRET_KEY"], listener.url, application.database.url):
        assert secret not in good[1].body + bad[1].body


def test_uptime_kuma(server: Server, listener: Listener) -> None:
    good, bad = heard_of("Uptime Kuma", server, listener)
    for (heard,), status in ((good, "up"), (bad, "down")):
        assert (heard.method, heard.path) == ("GET", "/api/push/TOKEN")
        assert heard.query["status"] == status
        assert 0 < int(heard.query["ping"]) < 60_000
        assert set(heard.query) == {"status", "msg", "ping"}
    assert good[0].query["msg"] == f"saved {server.keys()[0]}"
    assert "/does/not exist & ü" in bad[0].query["msg"]


def test_cronitor(server: Server, listener: Listener) -> None:
    good, bad = heard_of("Cronitor", server, listener)
    for heard, state in ((good, "complete"), (bad, "fail")):
        assert [(each.method, each.path) for each in heard] == [("GET", "/p/KEY/backups")] * 2
        assert [each.query["state"] for each in heard] == ["run", state]
        assert heard[0].query["series"] == heard[1].query["series"]
    assert bad[1].query["status_code"] == "4"
    assert "/does/not exist & ü" in bad[1].query["message"]


def test_dead_mans_snitch(server: Server, listener: Listener) -> None:
    good, bad = heard_of("Dead Man's Snitch", server, listener)
    assert [(each.method, each.path, set(each.query)) for each in good] == [("GET", "/TOKEN", {"m"})]
    assert [(each.method, each.path, each.query["s"]) for each in bad] == [("GET", "/TOKEN", "4")]


@pytest.mark.parametrize("event", ["success", "failure"])
def test_a_ping_that_fails_fails_no_backup(server: Server, listener: Listener, event: str) -> None:
    listener.answer = lambda _heard: 404
    server.write_environment(**{f"CHECKNINER_BACKUPS_PING_{event.upper()}_URL": f"{listener.url}/secret-token"},
                             CHECKNINER_BACKUPS_PING_START_URL=f"{listener.url}/secret-start")  # fmt: skip
    if event == "failure":
        server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="/does/not/exist")
    done = server.run("run", check=False)
    assert done.returncode == (13 if event == "success" else 4)
    assert len(server.keys()) == (1 if event == "success" else 0)
    assert "the start of this run could not be told: the watchdog at http://127.0.0.1 was not reached" in done.stderr
    assert "secret-" not in done.stderr
    said = server.run("status", check=False).stdout
    assert ("the last tick was good, but the watchdog at" in said) == (event == "success")
    assert [each.path for each in listener.heard] == ["/secret-start", "/secret-token"]


def test_the_other_runs_have_urls_of_their_own(server: Server, listener: Listener) -> None:
    for event in ("start", "success", "failure"):
        server.write_environment(**{f"CHECKNINER_BACKUPS_PING_{event.upper()}_URL": f"{listener.url}/tick-{event}"})
    for job in ("clean", "rehearsal"):
        for event in ("success", "failure"):
            name = f"CHECKNINER_BACKUPS_PING_{job.upper()}_{event.upper()}_URL"
            server.write_environment(**{name: f"{listener.url}/{job}/{{status}}/{{exit}}?{{message}}"})
    server.run("clean", "--dry-run")
    assert listener.heard == []
    server.run("clean")
    assert listener.targets() == ["GET /clean/success/0?removed%200%20local%20archives%2C%20kept%200"]
    listener.heard.clear()
    server.run("rehearse")  # off: nothing is tried
    assert listener.heard == []
    server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="sql", CHECKNINER_BACKUPS_REHEARSAL_MAX_SIZE="1")
    assert server.run("rehearse", check=False).returncode == 17
    assert [each.path for each in listener.heard] == ["/rehearsal/failure/17"]
    listener.heard.clear()
    server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="full", CHECKNINER_BACKUPS_REHEARSAL_MAX_SIZE=str(1 << 30))
    server.run("rehearse")
    assert [each.path for each in listener.heard] == ["/rehearsal/success/0"]


def test_a_tick_beside_another_run_says_nothing(server: Server, listener: Listener) -> None:
    import fcntl

    server.write_environment(CHECKNINER_BACKUPS_PING_START_URL=listener.url,
                             CHECKNINER_BACKUPS_PING_FAILURE_URL=listener.url)  # fmt: skip
    with (server.state_path / "lock").open("w") as lock:
        server.application.owner.own(server.state_path / "lock")
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert server.run("run", check=False).returncode == 75
    assert listener.heard == []


def test_check_refuses_a_template_that_means_nothing(server: Server, listener: Listener) -> None:
    server.write_environment(CHECKNINER_BACKUPS_PING_FAILURE_URL=f"{listener.url}/secret/{{exti}}")
    done = server.run("check", check=False)
    assert done.returncode == 3
    assert "checkniner_backups_ping_failure_url holds an unknown placeholder {exti}" in done.stderr
    assert "secret" not in done.stderr
    assert server.tick()["saved"]  # a ping is never the cause of a failed backup


def test_the_former_name_is_that_of_success(server: Server, listener: Listener) -> None:
    server.write_environment(CHECKNINER_BACKUPS_WATCHDOG_URL=f"{listener.url}/former",
                             CHECKNINER_BACKUPS_CLEAN_WATCHDOG_URL=f"{listener.url}/former-clean")  # fmt: skip
    server.tick()
    server.run("clean")
    assert listener.targets() == ["GET /former", "GET /former-clean"]
    server.write_environment(CHECKNINER_BACKUPS_PING_SUCCESS_URL=f"{listener.url}/new")
    server.tick()
    assert listener.targets()[2:] == ["GET /new"]
