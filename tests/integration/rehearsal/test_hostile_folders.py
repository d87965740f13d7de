"""Root writes nothing through a folder of the account that it hands a throwaway server or the application's code to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkniner_backups.django_app.interpreter import Interpreter
from checkniner_backups.rehearsal import throwaway as throwaway_module
from checkniner_backups.rehearsal.throwaway import throwaway
from checkniner_backups.system.accounts import Account, unprivileged

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody to hand a folder to")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file of root's."""
    path = tmp_path / "victim"
    path.write_text("precious\n")
    path.chmod(0o600)
    yield path
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o600)
    assert path.read_text() == "precious\n"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder into which other users get."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def replaced(path: Path, target: Path) -> None:
    """As the account that owns the folder: let this name lead elsewhere."""
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def test_a_throwaway_server(victim: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody waits for the folder, and for what is made in it."""
    own, run = Account.own, subprocess.run
    seen = []

    def given_away(account: Account, path: Path) -> None:
        own(account, path)
        if path.name.startswith("cb-drill-"):
            seen.append(path)
            for name in ("password", "log"):
                replaced(path / name, victim)

    def made(command: list[Any], **options: Any) -> Any:
        done = run(command, **options)
        settings = seen[0] / "data" / "postgresql.conf"
        if settings.exists():
            content = settings.read_bytes()
            (open_folder / "postgresql.conf").write_bytes(content)
            replaced(settings, open_folder / "postgresql.conf")
            seen.append(content)
        return done

    monkeypatch.setattr(Account, "own", given_away)
    monkeypatch.setattr(throwaway_module.subprocess, "run", made)
    with throwaway(unprivileged()) as server, psycopg.connect(**server.admin.arguments()) as connection:
        assert seen[0] == server.folder
        assert (open_folder / "postgresql.conf").read_bytes() == seen[1]
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert (server.folder.stat().st_uid, server.work.stat().st_uid) == (server.account.user_id,) * 2
    assert not server.folder.exists()


def test_the_program_for_the_applications_interpreter(victim: Path, open_folder: Path) -> None:
    account = unprivileged()
    account.own(open_folder)
    guess = open_folder / f"checkniner-worker-{os.getpid()}-{threading.get_ident()}.zip"
    replaced(guess, victim)
    python = Path(sys.executable).resolve()  # the checkout may be closed to this account
    with Interpreter.launch(python, Path("/"), {}, open_folder, account):
        (program,) = set(open_folder.iterdir()) - {guess}
        assert (program.stat().st_uid, program.stat().st_mode & 0o777) == (account.user_id, 0o600)
        assert program.name.startswith("checkniner-worker-")
    assert set(open_folder.iterdir()) == {guess}
