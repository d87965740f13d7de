"""The application's environment is what `bin/activate` makes of nothing, without anything of ours."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from checkniner_backups.django_app import environment as application
from checkniner_backups.django_app.environment import check_user, read_activate, run_command
from checkniner_backups.django_app.program import scrubbed
from checkniner_backups.errors import ApplicationError, SettingsError


@pytest.fixture
def virtualenv(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path


def activate(virtualenv: Path, text: str) -> dict[str, str]:
    (virtualenv / "bin" / "activate").write_text(text)
    return read_activate(virtualenv)


def test_values_come_as_they_are(virtualenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET_KEY", "secret")
    monkeypatch.setenv("CALLERS_OWN", "1")
    monkeypatch.setenv("BASH_ENV", "/nonexistent")
    environment = activate(
        virtualenv,
        "echo noise; echo noise >&2; PATH=\"/x:$PATH\"; export PATH; LOCAL=1; f() { :; }; export -f f\n"
        "export DATABASE_URL='postgres://a:b@c/d' MULTI='a\nb=c' EMPTY= S3_SECRET_KEY=x BACKUPS_GPG_RECIPIENT=y\n"
        "export CHECKNINER_BACKUPS_NAME=z CHECKNINER_MODE=kept\n[ -t 0 ] && echo terminal",
    )  # fmt: skip
    assert environment["MULTI"] == "a\nb=c"
    assert environment["EMPTY"] == ""
    assert environment["PATH"].startswith("/x:/usr")
    assert environment["CHECKNINER_MODE"] == "kept"
    assert set(environment) == {
        "HOME", "USER", "LOGNAME", "PATH", "LANG", "DATABASE_URL", "MULTI", "EMPTY", "CHECKNINER_MODE",
    }  # fmt: skip


def test_a_real_virtualenv(virtualenv: Path) -> None:
    subprocess.run(["python3", "-m", "venv", "--without-pip", virtualenv], check=True)
    with (virtualenv / "bin" / "activate").open("a") as script:
        script.write("\nexport DATABASE_URL=postgres://x/y\n")
    environment = read_activate(virtualenv)
    assert environment["VIRTUAL_ENV"] == str(virtualenv)
    assert environment["PATH"].split(":")[0] == str(virtualenv / "bin")
    started = time.process_time()
    before = os.times()
    for _ in range(5):
        read_activate(virtualenv)
    after = os.times()
    spent = time.process_time() - started + after.children_user - before.children_user
    assert spent / 5 < 0.05, "seconds of CPU"


@pytest.mark.parametrize("text", ["", "export OTHER=1", "exit 3", "export DATABASE_URL=", "kill -9 $$"])
def test_a_broken_one_is_an_error(virtualenv: Path, text: str) -> None:
    with pytest.raises(ApplicationError):
        activate(virtualenv, text)


def test_a_missing_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ApplicationError, match="cannot read"):
        read_activate(tmp_path / "nowhere")


@pytest.mark.parametrize(("number", "name"), [(0, "root"), (77, "postgres")])
def test_power_is_refused(number: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: number)
    monkeypatch.setattr(application, "_user_name", lambda: name)
    with pytest.raises(SettingsError, match=name):
        check_user()


def test_an_ordinary_user_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(application, "_user_name", lambda: "alice")
    check_user()


def test_a_command_runs_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    environment = {"PATH": "/usr/bin:/bin", "WORD": "hello"}
    argv = ["sh", "-c", 'echo "$WORD in $PWD"; echo beside >&2; exit 7']
    assert run_command(argv, tmp_path, environment, said=None) == 7
    assert capfd.readouterr() == (f"hello in {tmp_path}\n", "beside\n")
    # Our output is not its own unless that is asked for: of an Ansible module it is the result.
    assert run_command(argv, tmp_path, environment) == 7
    assert capfd.readouterr() == ("", f"hello in {tmp_path}\nbeside\n")
    with (tmp_path / "said").open("w+b") as said:
        assert run_command(argv, tmp_path, environment, said=said) == 7
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "said").read_text() == f"hello in {tmp_path}\nbeside\n"
    with pytest.raises(ApplicationError, match="no-such-command"):
        run_command(["no-such-command"], tmp_path, environment)


def test_secrets_are_scrubbed() -> None:
    environment = {
        "DATABASE_URL": "postgres://me:p%40ss-word@host/db", "SECRET_KEY": "abc-def", "API_TOKEN": "tok-en",
        "HOME": "/home", "PIN_KEY": "1",
    }  # fmt: skip
    text = "postgres://me:p%40ss-word@host/db p@ss-word p%40ss-word abc-def tok-en /home 1"
    assert scrubbed(text, environment) == "*** *** *** *** *** /home 1"
