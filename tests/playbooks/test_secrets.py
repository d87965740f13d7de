"""Secrets stay secret: process lists, output of the playbooks, logs, crontab lines, environments, modes of files."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.plugins.operated import Operated

OURS = ("S3_", "BACKUPS_", "CHECKNINER_", "AWS_")


def secrets_of(operated: Operated) -> dict[str, str]:
    """Return each secret by its name."""
    control, database = operated.control, operated.database
    return {
        "the server's S3 secret": control.store.identities["server"].secret_key,
        "the operator's S3 secret": control.store.identities["operator"].secret_key,
        "the database's password": database.password,
        "the administrator's password": database.cluster.password,
        "SECRET_KEY": operated.application.environment["SECRET_KEY"],
        "the watchdog's URL": urlsplit(control.variables["checkniner_backups_watchdog_url"]).path,
        "a signature of a presigned URL": "X-Amz-Signature=",
        "a signature of an older kind": "&Signature=",
    }


def assert_silent(operated: Operated, text: str, where: str) -> None:
    for what, secret in secrets_of(operated).items():
        assert secret
        assert secret not in text, f"{what} stands in {where}"


def test_no_secret_shows_anywhere(operated: Operated) -> None:
    spy = operated.spy
    operated.tick()
    operated.change()
    ticked = operated.tick()
    restored = operated.restore("-e", "source=sql", "-vvv")
    assert restored.returncode == 0, restored.stdout[-3000:] + restored.stderr[-2000:]
    fixtures = operated.restore("-e", "source=fixtures", "-vvv")
    assert fixtures.returncode == 0, fixtures.stdout[-3000:] + fixtures.stderr[-2000:]

    assert any("pg_dump" in line for line in spy.lines)
    assert any("psql" in line for line in spy.lines)
    assert any("gpg" in line for line in spy.lines)
    for line in spy.lines:
        assert_silent(operated, line, f"a command line: {line[:60]}")
    for name, done in {"setup": operated.set_up, "sql": restored, "fixtures": fixtures, "tick": ticked}.items():
        assert_silent(operated, done.stdout + done.stderr, f"the output of {name}")
    # gpg's own form of a session key: a number for the cipher, and 32 bytes
    assert "session_key" in restored.stdout
    assert not re.search(r"\b(9|8|7|10):[0-9A-F]{32,64}\b", restored.stdout + fixtures.stdout)
    log = Path(operated.control.variables["checkniner_backups_log_path"]) / "checkniner.log"
    assert_silent(operated, log.read_text(), "the log")
    crontab = [line for line in operated.set_up.stdout.splitlines() if "--environment" in line and "run" in line]
    assert crontab
    the_applications_environment(operated)
    modes(operated)


def the_applications_environment(operated: Operated) -> None:
    python = str(operated.application.python)
    seen = {line: words for line, words in operated.spy.environments.items() if line.startswith(python)}
    assert any("checkniner-worker" in line for line in seen), list(seen)
    for line, words in seen.items():
        assert not [word.partition("=")[0] for word in words if word.startswith(OURS)], line


def modes(operated: Operated) -> None:
    variables = operated.control.variables
    folders = [Path(variables[f"checkniner_backups_{name}_path"]) for name in ("state", "config", "log")]
    wide = [
        f"{path} {stat.filemode(path.stat().st_mode)}"
        for folder in folders
        for path in (folder, *folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077
    ]
    assert wide == []
    owner = operated.application.owner
    install = Path(variables["checkniner_backups_install_path"])
    for path in (install, *install.rglob("*")):
        if path.is_symlink():
            continue
        assert not path.stat().st_mode & 0o022, path
        if not owner.is_us:
            assert path.stat().st_uid != owner.user_id, f"the owner may change {path}"


def test_the_administrators_password_is_not_with_the_owner(operated: Operated) -> None:
    """The owner's own processes can read what a module of the owner's holds."""
    owner = operated.application.owner
    if owner.is_us:
        pytest.skip("nobody else is here: who plays the owner is the administrator too")
    done = operated.restore("-e", "drop_previous=true", "--check", "-vvv")
    assert done.returncode == 0, done.stdout[-3000:]
    tasks = re.split(r"^TASK ", done.stdout, flags=re.MULTILINE)
    (looked,) = (task for task in tasks if "Look which database the application has]" in task)
    (dropped,) = (task for task in tasks if "Databases: " in task.partition("\n")[0])
    assert f"{owner.name} " in looked
    assert f"{owner.name} " not in dropped.partition("EXEC")[2]
