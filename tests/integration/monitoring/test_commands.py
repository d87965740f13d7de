"""The operator's own commands: when they run, what they are told, and that none of them harms a backup."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from checkniner_backups.monitoring import commands
from checkniner_backups.monitoring.commands import FAILURE, RECOVERY, event_between, run_commands
from checkniner_backups.settings import Settings, StoreSettings
from checkniner_backups.state.last_tick import LastTick, next_tick

from sandbox.server import Server

_WRITE = 'cat >"$1.text"; env | sort >"$1.env"; echo "$CHECKNINER_BACKUPS_EVENT" >>"$1.events"'


def set_up(server: Server, *more: list[str]) -> Path:
    """Have the server write down what its commands are told; return how the files' names begin."""
    told = server.application.folder / "told"
    argvs = [*more, ["sh", "-c", _WRITE, "sh", str(told)]]
    server.write_environment(CHECKNINER_BACKUPS_ON_FAILURE_COMMANDS=json.dumps(argvs))
    return told


def events(told: Path) -> list[str]:
    path = told.with_suffix(".events")
    return path.read_text().split() if path.exists() else []


def broken(server: Server, reason: str = "/does/not/exist") -> CompletedProcess[str]:
    """Run a tick that fails."""
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE=reason)
    argv = [server.command, "--environment", server.environment_file, "run"]
    done = server.application.owner.run(argv, check=False, environment={"ANOTHER": "secret of cron's"})
    assert done.returncode == 4
    server.write_environment(CHECKNINER_BACKUPS_ENVIRONMENT_SOURCE="activate")
    return done


def test_they_run_at_the_first_failure_and_at_the_recovery(server: Server) -> None:
    told = set_up(server)
    server.tick()
    server.tick()
    assert events(told) == []
    broken(server, '/does "not" exist $(reboot)')
    environment = dict(line.split("=", 1) for line in told.with_suffix(".env").read_text().splitlines())
    ours = {name[19:]: value for name, value in environment.items() if name.startswith("CHECKNINER_BACKUPS_")}
    assert ours.keys() == {"EVENT", "STATUS", "EXIT", "MESSAGE", "HINT", "NAME", "HOST", "SINCE"}
    assert (ours["EVENT"], ours["STATUS"], ours["EXIT"], ours["NAME"]) == ("failure", "failure", "4", "checkniner")
    assert '/does "not" exist $(reboot)' in ours["MESSAGE"]
    assert ours["HINT"]
    assert abs(time.time() - time.mktime(time.strptime(ours["SINCE"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 120
    assert set(environment) <= {f"CHECKNINER_BACKUPS_{name}" for name in ours} | {"PATH", "HOME", "LC_ALL", "PWD", "_"}
    text = told.with_suffix(".text").read_text()
    assert text == (
        f"The backup of checkniner on {ours['HOST']} has failed with exit status 4: {ours['MESSAGE']}\n{ours['HINT']}\n"
    )
    since = ours["SINCE"]
    broken(server)
    broken(server)
    assert events(told) == ["failure"]
    server.tick()
    assert events(told) == ["failure", "recovery"]
    assert f"CHECKNINER_BACKUPS_SINCE={since}\n" in told.with_suffix(".env").read_text()
    assert told.with_suffix(".text").read_text() == f"The backup of checkniner on {ours['HOST']} works again.\n"
    server.tick()
    assert events(told) == ["failure", "recovery"]


def test_one_that_fails_is_logged_and_the_next_one_runs(server: Server) -> None:
    told = set_up(
        server, ["/no/such/program", "secret-token"], ["sh", "-c", "echo gone wrong >&2; exit 3", "secret-token"]
    )
    done = broken(server)
    assert (
        "the command program of checkniner_backups_on_failure_commands cannot be started: No such file" in done.stderr
    )
    assert "the command sh of checkniner_backups_on_failure_commands ended with 3: gone wrong" in done.stderr
    assert "secret-token" not in done.stderr
    assert events(told) == ["failure"]
    done = server.run("run")
    assert "ended with 3" in done.stderr
    assert server.keys()


def settings(*argvs: tuple[str, ...]) -> Settings:
    return Settings("checkniner", Path("/app"), Path("/venv"), Path("/state"), StoreSettings(secret_key="s3cret-key"),
                    on_failure_commands=argvs)  # fmt: skip


def test_one_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(commands, "LIMIT", 0.5)
    child = tmp_path / "child"
    start = time.monotonic()
    hanging = ("sh", "-c", f"sh -c 'echo $$ >{child}; sleep 100; true'; true")
    run_commands(settings(hanging), FAILURE, None, LastTick(1.0, 7, "s3cret-key", failing_since=1.0))
    assert time.monotonic() - start < 5
    assert "took longer than 0.5 s and was ended" in caplog.text
    for _ in range(50):
        if not Path(f"/proc/{child.read_text().strip()}").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("a child of the command still runs")


def test_no_secret_is_handed_on(tmp_path: Path) -> None:
    told = tmp_path / "told"
    tick = LastTick(1.0, 7, "signed with s3cret-key", "look at s3cret-key", failing_since=1.0)
    run_commands(settings(("sh", "-c", _WRITE, "sh", str(told))), FAILURE, None, tick)
    said = told.with_suffix(".text").read_text() + told.with_suffix(".env").read_text()
    assert "s3cret-key" not in said
    assert said.count("signed with ***") == 2


def test_what_is_new() -> None:
    good = next_tick(None, 1.0, 0)
    bad = next_tick(good, 2.0, 7, "message")
    worse = next_tick(bad, 3.0, 5, "other")
    unheard = next_tick(worse, 4.0, 13, "the watchdog was not reached")
    assert worse.failing_since == bad.failing_since == 2.0
    assert (unheard.good_at, unheard.failing_since, unheard.message) == (4.0, 0.0, "the watchdog was not reached")
    assert next_tick(unheard, 5.0, 7).failing_since == 5.0
    steps = [None, good, bad, worse, unheard, good]
    found = [event_between(before, after) for before, after in itertools.pairwise(steps) if after]
    assert found == ["", FAILURE, "", RECOVERY, ""]
    assert event_between(None, bad) == FAILURE


@pytest.mark.parametrize("text", ["mail", "{}", "[[]]", '["mail"]', "[[1]]", '[[""]]', '[["mail", null]]'])
def test_what_is_no_list_of_commands_is_refused(server: Server, text: str) -> None:
    server.write_environment(CHECKNINER_BACKUPS_ON_FAILURE_COMMANDS=text)
    done = server.run("status", check=False)
    assert done.returncode == 3
    assert "CHECKNINER_BACKUPS_ON_FAILURE_COMMANDS holds no list of commands" in done.stderr
