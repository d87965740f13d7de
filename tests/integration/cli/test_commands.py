"""The command line, as a person, a monitor or a script meets it: help, tables, JSON, exit statuses."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups import errors
from checkniner_backups.cli import main as cli

import tests.plugins.application as plugin
from sandbox.server import Server

RunningApplication = plugin.RunningApplication

COMMANDS = ("run", "backup", "list", "fetch", "clean", "status", "check", "exec")


def asked(server: Server, *arguments: str, status: int = 0) -> Any:
    """Run a command with `--json`; return what it says."""
    answer = server.run(*arguments, "--json", check=False)
    assert answer.returncode == status, answer.stderr
    return json.loads(answer.stdout)


def words(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the help that these words print, in one line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*argv, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_tells_a_newcomer_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = words(capsys)
    for command in COMMANDS:
        assert re.search(rf" {command} [a-z]", text), command
        own = words(capsys, command)
        assert own.startswith(f"usage: checkniner-backups {command}")
        assert len(own.split(" options:")[0]) > 60  # a sentence that says what it does
    kinds = [errors.BackupsError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for status in {kind.exit_status for kind in kinds}:
        assert re.search(rf" {status} [a-zA-Z]", text), f"{status} is not explained"
    assert "127.0.0.1" not in text
    assert re.search(r" 0 all is well .* 18 something is wrong", words(capsys, "status"))


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["list", "--limit", "many"], ["fetch", "--archive", "a", "--at", "b"]]
)
def test_a_wrong_command_line_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert "usage: checkniner-backups" in capsys.readouterr().err


def test_settings_that_are_missing_are_named(server: Server) -> None:
    missing = server.application.owner.run([server.command, "status"], check=False)
    assert missing.returncode == 3
    assert "CHECKNINER_BACKUPS_NAME is not set" in missing.stderr
    assert "HINT: pass --environment FILE" in missing.stderr
    missing = server.application.owner.run([server.command, "--environment", "/no/such.env", "status"], check=False)
    assert missing.returncode == 3
    assert "cannot read the environment file" in missing.stderr
    assert "Traceback" not in missing.stderr
    # As root or postgres: refused, whatever is asked that touches the application.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 0)
        for command in ("run", "check", "clean"):
            assert cli.main(["--environment", str(server.environment_file), command]) == 3


def test_from_the_first_backup_to_the_last(server: Server, application: RunningApplication) -> None:
    before = asked(server, "status", status=18)
    assert before["last_key"] is None
    assert before["problems"] == ["nothing is known to be in the store"]
    assert asked(server, "list") == []
    nothing = server.run("fetch", check=False)
    assert nothing.returncode == 7
    assert "no archive" in nothing.stderr

    tried = server.run("check").stdout
    for each in (
        "PostgreSQL",
        "tables can be locked and read",
        "business apps auth, checkouts",
        "can encrypt",
        "listed",
    ):
        assert each in tried
    assert len(asked(server, "check")) == len(tried.splitlines())
    assert server.keys() == []  # it changed nothing

    first = asked(server, "run")
    assert first["saved"]
    assert first["key"].endswith(".tar.gz.gpg")
    assert len(first["sha256"]) == 64
    quiet = server.run("run")
    assert quiet.stdout == ""  # cron would mail it
    assert "unchanged" in quiet.stderr
    assert not asked(server, "backup")["saved"]
    forced = asked(server, "backup", "--force")
    assert forced["saved"]
    assert forced["check_level"] == "none"

    found = asked(server, "list")
    assert [each["key"] for each in found] == [forced["key"], first["key"]]  # newest first
    assert [each["size"] for each in found] == [forced["size"], first["size"]]
    assert len(asked(server, "list", "--limit", "1")) == 1
    table = server.run("list").stdout
    assert table.index(forced["key"]) < table.index(first["key"])

    folder = application.installed.folder / "fetched"
    folder.mkdir(mode=0o700)
    application.owner.own(folder)
    server.write_environment(S3_ACCESS_KEY=server.store.identities["operator"].access_key,
                             S3_SECRET_KEY=server.store.identities["operator"].secret_key)  # fmt: skip
    for options, meant in (
        ((), forced),
        (("--archive", first["key"]), first),
        (("--at", first["key"][3:22] + "Z"), first),
    ):
        got = asked(server, "fetch", "--to", str(folder), *options)
        assert got["key"] == meant["key"]
        data = Path(got["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == got["sha256"] == meant["sha256"]
        assert Path(got["path"]).stat().st_mode & 0o777 == 0o600
    for options, status in (
        (("--archive", "db/2001-01-01T00:00:00.tar.gz"), 7),
        (("--archive", "nonsense"), 3),
        (("--at", "2001-01-01 10:00"), 7),
        (("--at", "yesterdayish"), 3),
        (("--to", "/no/such/folder"), 11),
    ):
        assert server.run("fetch", *options, check=False).returncode == status, options
    assert len(list(folder.iterdir())) == 2


def test_clean_keeps_the_newest_and_status_tells_what_is_wrong(server: Server) -> None:
    first, forced = asked(server, "run"), asked(server, "backup", "--force")
    local = server.state_path / "archives"
    assert len(list(local.glob("2*"))) == 2
    (local / "before-restore").mkdir()
    safety = [local / "before-restore" / f"2026-01-0{day}T00:00:00.tar.gz.gpg" for day in (1, 2)]
    for path in safety:
        path.write_bytes(b"safety")
    server.application.owner.own(local / "before-restore")
    would = asked(server, "clean", "--dry-run")
    assert would["removed"] == [first["key"][3:], f"before-restore/{safety[0].name}"]
    assert len(list(local.glob("2*"))) == 2
    assert asked(server, "clean") == would
    assert [path.name for path in local.glob("2*")] == [forced["key"][3:]]
    assert list((local / "before-restore").iterdir()) == safety[1:]
    assert (local / "latest.tar.gz.gpg").resolve().name == forced["key"][3:]
    assert "removed 0 local archives" in server.run("clean").stdout
    assert len(server.keys()) == 2  # the store is not touched

    after = asked(server, "status")
    assert after["last_key"] == forced["key"]
    assert after["problems"] == []
    assert 0 <= after["last_saved_age"] < 3600
    assert forced["key"] in server.run("status").stdout
    server.write_environment(BACKUPS_GPG_RECIPIENT="0" * 40)
    changed = server.run("status", check=False)
    assert changed.returncode == 18
    assert "PROBLEM" in changed.stdout


def test_exec_runs_in_the_application_s_environment_without_our_secrets(server: Server) -> None:
    code = "import os; print(dict(os.environ)); print(os.getcwd())"
    said = server.run("exec", "--", "python3", "-c", code)
    assert str(server.application.path) in said.stdout.splitlines()[-1]
    assert "DJANGO_SETTINGS_MODULE" in said.stdout
    for name, value in server.environment.items():
        if name.startswith(("S3_", "BACKUPS_", "CHECKNINER_")):
            assert name not in said.stdout
        if "SECRET" in name:
            assert value not in said.stdout
    assert server.run("exec", "--", "sh", "-c", "exit 42", check=False).returncode == 42
    assert server.run("exec", "python", "-m", "django", "check").returncode == 0
    missing = server.run("exec", "--", "no-such-program", check=False)
    assert missing.returncode == 4
    assert "cannot run no-such-program" in missing.stderr
    empty = server.run("exec", check=False)
    assert empty.returncode == 3
    assert "no command is given" in empty.stderr
