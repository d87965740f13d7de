"""Nobody waits for us longer than promised, nor we for ever: migrations, locks that stay, programs that hang."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.backup import detect as looking
from checkniner_backups.backup import dump as dataset
from checkniner_backups.backup import readers as watching
from checkniner_backups.django_app import process as fixtures
from checkniner_backups.errors import DatabaseError, LockTimeoutError
from checkniner_backups.postgres import snapshot_token

from tests.change_checks import ChangeChecks
from tests.pairs import check, checks, hooked
from tests.plugins.postgres import Database
from tests.plugins.spying import command_lines

pytestmark = pytest.mark.late("locks are waited for with limits of a few seconds")

__all__ = ["checks"]


def in_background(database: Database, statement: str, done: list[float]) -> threading.Thread:
    """Run a statement in a thread; how long it took is noted at its end."""

    def run() -> None:
        began = time.monotonic()
        database.execute(statement)
        done.append(time.monotonic() - began)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def until_waiting(database: Database) -> None:
    """Wait until somebody waits for a lock."""
    for _ in range(500):
        if database.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


RETYPE = "ALTER TABLE checkouts_pilotweight ALTER COLUMN weight TYPE bigint"


def test_a_migration_between_our_locks_makes_no_ring(checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the exporting session, our readers wait behind it: PostgreSQL sees no deadlock in that."""
    database = checks.application.database
    checks.set(migration_wait=60.0)  # the readers' own limits have to break it
    done: list[float] = []

    def meanwhile() -> None:
        in_background(database, RETYPE, done)
        until_waiting(database)

    hooked(monkeypatch, dataset, "database_metadata", meanwhile)
    began = time.monotonic()
    assert checks.check().changed
    assert time.monotonic() - began < 40
    assert done
    assert done[0] < 15
    check(checks)
    assert "weight bigint" in checks.sql


def slow_program(folder: Path, name: str, program: Path, seconds: int) -> Path:
    """Return a program that hangs the first time it runs."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nif mkdir "{folder}/{name}.slept" 2>/dev/null; then sleep {seconds}; fi\nexec "{program}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_a_pg_dump_that_alone_is_locked_out_is_tried_again(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It words it in a way of its own."""
    checks.set(migration_wait=60.0)
    programs = checks.application.installed.folder / "slow"
    programs.mkdir()
    slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 4)
    monkeypatch.setattr(dataset, "dump_program", lambda _: slow)
    done: list[float] = []

    def migrate() -> None:
        while not (programs / "pg_dump.slept").exists():
            time.sleep(0.02)
        time.sleep(2)  # the other readers have their locks
        in_background(checks.application.database, RETYPE, done)

    threading.Thread(target=migrate, daemon=True).start()
    assert checks.check().changed
    assert done
    check(checks)
    assert "weight bigint" in checks.sql


@pytest.mark.parametrize("what", ["pg_dump", "Django", "rows"])
def test_a_migration_is_let_through_whatever_we_are_at(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    database = checks.application.database
    assert checks.check().changed
    checks.application.change()
    programs = checks.application.installed.folder / "slow"
    programs.mkdir()
    if what == "pg_dump":
        slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 50)
        monkeypatch.setattr(dataset, "dump_program", lambda _: slow)
    elif what == "Django":
        python = checks.application.virtualenv / "bin" / "python"
        real = python.with_name("real-python")
        python.rename(real)
        slow_program(programs, "python", real, 50).rename(python)
    else:
        original = looking.changes.take_fingerprint
        monkeypatch.setattr(looking.changes, "take_fingerprint", lambda connection, *rest, **named: (
            (programs / "slept").exists() or (programs / "slept").touch() or connection.execute("SELECT pg_sleep(50)"),
            original(connection, *rest, **named),
        )[1])  # fmt: skip
    done: list[float] = []
    marker = {"pg_dump": "pg_dump.slept", "Django": "python.slept", "rows": "slept"}[what]

    def migrate() -> None:
        while not (programs / marker).exists():
            time.sleep(0.02)
        in_background(database, RETYPE, done)

    threading.Thread(target=migrate, daemon=True).start()
    began = time.monotonic()
    assert checks.check().changed
    assert time.monotonic() - began < 35
    assert done
    assert done[0] < checks.settings.migration_wait + 5, "the migration was made to wait"
    check(checks)


def test_a_table_that_stays_locked_fails_loudly_after_the_attempts(
    checks: ChangeChecks, caplog: pytest.LogCaptureFixture
) -> None:
    checks.set(attempts=2, lock_timeout=0.5)
    database = checks.application.database
    with database.connect() as connection:
        connection.execute("LOCK TABLE checkouts_airstrip IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LockTimeoutError, match="locked") as failed:
            checks.check()
        assert failed.value.exit_status == 5
        assert "attempt 1 of 2" in caplog.text
        assert checks.state.load() is None
        checks.set(attempts=8)
        threading.Timer(1.5, connection.rollback).start()
        assert checks.check().changed  # it waited, and tried again
    check(checks)


def test_what_hangs_is_ended(checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = checks.application.installed.folder / "slow"
    programs.mkdir()
    slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 300)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "dump_program", lambda _: slow)
        patch.setattr(watching, "STALL", 3.0)
        with pytest.raises(DatabaseError, match="nothing moved for 3 s"):
            checks.check()
    assert checks.check().changed

    with monkeypatch.context() as patch:
        hanging = programs / "psql"
        hanging.write_text("#!/bin/sh\nexec sleep 300\n")
        hanging.chmod(0o755)
        patch.setattr(snapshot_token, "client_program", lambda _: hanging)
        patch.setattr(snapshot_token, "_PATIENCE", 1)
        with pytest.raises(DatabaseError, match="no answer within 1 s"):
            checks.check()

    python = checks.application.virtualenv / "bin" / "python"
    real = python.with_name("real-python")
    python.rename(real)
    slow_program(programs, "python", real, 299).rename(python)
    with monkeypatch.context() as patch:
        patch.setattr(fixtures, "_PATIENCE", 1.0)
        assert checks.check(force=True).changed  # the SQL alone
    assert "checkouts" in checks.dumped.missing
    assert "sleep 299" not in command_lines()  # what the wrapper started is gone as well
    assert checks.check(force=True).changed


def test_a_server_that_freezes_during_the_dump_is_noticed(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers no question any more, not even the one who waits for our locks."""
    database = checks.application.database
    ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    frozen: list[int] = []
    original = looking.changes.take_fingerprint

    def freeze(*arguments: Any, **named: Any) -> Any:
        for (process,) in database.execute(ours):
            os.kill(process, signal.SIGSTOP)
            frozen.append(process)
        return original(*arguments, **named)

    assert checks.check().changed
    checks.application.change()
    began = time.monotonic()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(looking.changes, "take_fingerprint", freeze)
            patch.setattr(watching, "STALL", 3.0)
            patch.setattr(watching, "_CANCEL_PATIENCE", 1.0)
            with pytest.raises(DatabaseError, match="nothing moved for 3 s"):
                checks.check()
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)
    assert len(frozen) >= 2
    assert time.monotonic() - began < 30
    assert checks.check().changed
    check(checks)
