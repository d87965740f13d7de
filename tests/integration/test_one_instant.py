"""Everything in an archive is of one instant, whatever runs meanwhile; and nobody waits for us longer than promised."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from checkniner_backups import dataset, fixtures, looking, watching
from checkniner_backups.errors import ApplicationError, BackupsError, DatabaseError, LockTimeoutError
from checkniner_backups.postgres import mark, snapshot

import tests.plugins.application as plugin
from tests.looks import Looks
from tests.plugins.postgres import Database
from tests.plugins.spying import command_lines

RunningApplication = plugin.RunningApplication

PAIRS = """
WITH pair AS (SELECT md5(random()::text) AS name FROM generate_series(1, {count}))
, one AS (INSERT INTO auth_group (name) SELECT name FROM pair)
INSERT INTO checkouts_aircrafttype (name, sorted_position) SELECT name, 5 FROM pair
"""
"""An invariant across two apps: there are as many groups as types of aircraft, by the same names."""


@pytest.fixture
def looks(application: RunningApplication, tmp_path: Path) -> Looks:
    """Looks at the example application, with pairs of rows that must stay pairs."""
    application.database.execute("TRUNCATE auth_group, checkouts_aircrafttype CASCADE")
    application.database.execute(PAIRS.format(count=3000))
    return Looks(application, tmp_path, lock_timeout=2.0, migration_wait=3.0, attempts=8)


def check(looks: Looks, at_least: int = 1) -> tuple[int, int]:
    """Check what the last look dumped: SQL, fixtures and counts agree, and the invariants hold.

    :returns: the number of pairs, and the sum of all pilots' weights
    """
    groups = {row[1] for row in looks.rows("auth_group")}
    types = {row[1] for row in looks.rows("checkouts_aircrafttype")}
    assert groups == types, f"{len(groups)} groups, {len(types)} types in the SQL"
    assert {each["fields"]["name"] for each in looks.objects("auth.group")} == groups
    assert {each["fields"]["name"] for each in looks.objects("checkouts.aircrafttype")} == groups
    weights = {row[0]: row[1] for row in looks.rows("checkouts_pilotweight")}
    objects = looks.objects("checkouts.pilotweight")
    assert {str(each["pk"]): str(each["fields"]["weight"]) for each in objects} == weights
    users = {row[0] for row in looks.rows("auth_user")}
    assert {str(each["pk"]) for each in looks.objects("auth.user")} == users
    assert looks.dumped.dataset
    counted = {table["name"]: table["rows"] for table in looks.dumped.dataset.tables}
    for name, found in (("auth_group", groups), ("checkouts_aircrafttype", types), ("auth_user", users),
                        ("checkouts_pilotweight", weights)):  # fmt: skip
        assert counted[name] == len(found) >= at_least, name
    return len(groups), sum(int(weight) for weight in weights.values())


class Worker(threading.Thread):
    """Does something again and again, and notes how long each took."""

    def __init__(self, database: Database, work: Callable[[psycopg.Connection[Any], random.Random], None]) -> None:
        super().__init__(daemon=True)
        self.database, self.work = database, work
        self.stopping = threading.Event()
        self.durations: list[float] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        chance = random.Random(id(self))
        try:
            with self.database.connect() as connection:
                while not self.stopping.is_set():
                    began = time.monotonic()
                    try:
                        self.work(connection, chance)
                        connection.commit()
                        self.durations.append(time.monotonic() - began)
                    except psycopg.errors.DeadlockDetected:
                        connection.rollback()
                    self.stopping.wait(chance.random() * 0.02)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.failure = error


@contextlib.contextmanager
def at_work(*workers: Worker) -> Iterator[None]:
    """Let workers work for as long as the block lasts."""
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.stopping.set()
        for worker in workers:
            worker.join(60)
    for worker in workers:
        assert not worker.is_alive()
        if worker.failure:
            raise worker.failure


def pair(connection: psycopg.Connection[Any], chance: random.Random) -> None:
    """One more pair."""
    name = f"pair {chance.random()}"
    connection.execute("INSERT INTO auth_group (name) VALUES (%s)", (name,))
    connection.execute("INSERT INTO checkouts_aircrafttype (name, sorted_position) VALUES (%s, 1)", (name,))


def transfer(connection: psycopg.Connection[Any], chance: random.Random) -> None:
    """A pound from one pilot to another: the sum stays."""
    update = "UPDATE checkouts_pilotweight SET weight = weight + %s WHERE id = (SELECT {} FROM checkouts_pilotweight)"
    pounds = chance.choice((1, -1))
    connection.execute(update.format("min(id)"), (pounds,))
    connection.execute(update.format("max(id)"), (-pounds,))


def truncate(connection: psycopg.Connection[Any], chance: random.Random) -> None:
    """All pairs go, others come."""
    time.sleep(0.3 + chance.random())
    connection.execute("TRUNCATE auth_group, checkouts_aircrafttype CASCADE")
    connection.execute(PAIRS.format(count=500).encode())


def retype(connection: psycopg.Connection[Any], chance: random.Random) -> None:
    """A migration that rewrites a table."""
    time.sleep(0.3 + chance.random())
    kind = chance.choice(("bigint", "int"))
    connection.execute(f"ALTER TABLE checkouts_pilotweight ALTER COLUMN weight TYPE {kind}".encode())


def test_with_writers_at_work_every_archive_is_of_one_instant(looks: Looks) -> None:
    database = looks.application.database
    ((weight,),) = database.execute("SELECT sum(weight) FROM checkouts_pilotweight")
    workers = [Worker(database, work) for work in (pair, pair, transfer)]
    sizes = set()
    with at_work(*workers):
        for _ in range(4):
            assert looks.look(force=True).changed
            pairs, total = check(looks)
            sizes.add(pairs)
            assert total == weight
    assert len(sizes) == 4
    assert all(len(worker.durations) > 20 for worker in workers)


def test_with_migrations_and_truncate_at_work_nothing_is_silently_empty(looks: Looks) -> None:
    database = looks.application.database
    ((weight,),) = database.execute("SELECT sum(weight) FROM checkouts_pilotweight")
    workers = [Worker(database, work) for work in (pair, transfer, truncate, retype)]
    deadline, done = time.monotonic() + 60, 0
    with at_work(*workers):
        while done < 4 or any(len(worker.durations) < 3 for worker in workers):
            assert time.monotonic() < deadline, [len(worker.durations) for worker in workers]
            assert looks.look(force=True).changed
            _, total = check(looks)
            assert total == weight
            done += 1
    longest = max(duration for worker in workers for duration in worker.durations)
    assert longest < 15, "somebody was made to wait"


def hooked(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, hook: Callable[[], None]) -> None:
    """Call the hook right before a function of the engine, the first time only."""
    original = getattr(module, name)
    calls = [hook]

    def wrapper(*arguments: Any, **named: Any) -> Any:
        if calls:
            calls.pop()()
        return original(*arguments, **named)

    monkeypatch.setattr(module, name, wrapper)


def test_what_is_committed_after_the_snapshot_is_in_no_part(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    database = looks.application.database

    def meanwhile() -> None:
        database.execute(PAIRS.format(count=700))
        database.execute("DELETE FROM checkouts_pilotweight WHERE id = (SELECT min(id) FROM checkouts_pilotweight)")

    ((weights,),) = database.execute("SELECT count(*) FROM checkouts_pilotweight")
    hooked(monkeypatch, dataset, "database_facts", meanwhile)
    assert looks.look().changed
    assert check(looks)[0] == 3000
    assert len(looks.rows("checkouts_pilotweight")) == weights
    # ... and the mark that is remembered is the snapshot's, not one of afterwards.
    verdict = looks.look()
    assert verdict.changed
    assert check(looks)[0] == 3700


def test_what_would_empty_a_table_under_a_snapshot_has_to_wait(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    database = looks.application.database
    refused = []

    def meanwhile() -> None:
        for statement in ("TRUNCATE auth_group CASCADE", "ALTER TABLE auth_group ALTER COLUMN id TYPE bigint",
                          "DROP TABLE auth_group CASCADE", "VACUUM FULL checkouts_aircrafttype",
                          "TRUNCATE django_session"):  # fmt: skip
            with database.connect(autocommit=True) as connection:
                connection.execute("SET lock_timeout = '100ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    connection.execute(statement.encode())
                refused.append(statement)

    hooked(monkeypatch, dataset, "database_facts", meanwhile)
    assert looks.look().changed
    assert check(looks)[0] == 3000
    assert len(refused) == 5


def test_parts_that_disagree_are_no_dataset(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last net: were a reader ever to miss the snapshot, nothing would be saved."""
    database = looks.application.database
    original = fixtures.FixturesProcess.dump

    def without_snapshot(process: Any, **values: Any) -> Any:
        database.execute(PAIRS.format(count=1))
        return original(process, **{**values, "snapshot": None})

    with monkeypatch.context() as patch:
        patch.setattr(fixtures.FixturesProcess, "dump", without_snapshot)
        with pytest.raises(DatabaseError, match=r"3000 rows, but 3001 in the fixture"):
            looks.look()
    with monkeypatch.context() as patch:
        patch.setattr(dataset.RowCounter, "feed", lambda *_: None)
        with pytest.raises(DatabaseError, match="rows, but None in the SQL"):
            looks.look()
    assert looks.state.load() is None


def test_a_table_that_comes_while_tables_are_locked_is_not_left_out(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = looks.application.database
    hooked(monkeypatch, snapshot, "_lock", lambda: database.execute("CREATE TABLE late AS SELECT 1 AS a") and None)
    assert looks.look().changed
    assert looks.rows("late") == [["1"]]
    assert looks.dumped.dataset
    assert "late" in [table["name"] for table in looks.dumped.dataset.tables]  # locked, counted, hashed


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


def test_a_migration_between_our_locks_makes_no_ring(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the exporting session, our readers wait behind it: PostgreSQL sees no deadlock in that."""
    database = looks.application.database
    looks.set(migration_wait=60.0)  # the readers' own limits have to break it
    done: list[float] = []

    def meanwhile() -> None:
        in_background(database, RETYPE, done)
        until_waiting(database)

    hooked(monkeypatch, dataset, "database_facts", meanwhile)
    began = time.monotonic()
    assert looks.look().changed
    assert time.monotonic() - began < 40
    assert done
    assert done[0] < 15
    check(looks)
    assert "weight bigint" in looks.sql


def slow_program(folder: Path, name: str, program: Path, seconds: int) -> Path:
    """Return a program that hangs the first time it runs."""
    path = folder / name
    path.write_text(
        f'#!/bin/sh\nif mkdir "{folder}/{name}.slept" 2>/dev/null; then sleep {seconds}; fi\nexec "{program}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def test_a_pg_dump_that_alone_is_locked_out_is_tried_again(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    """It words it in a way of its own."""
    looks.set(migration_wait=60.0)
    programs = looks.application.installed.folder / "slow"
    programs.mkdir()
    slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 4)
    monkeypatch.setattr(dataset, "dump_program", lambda _: slow)
    done: list[float] = []

    def migrate() -> None:
        while not (programs / "pg_dump.slept").exists():
            time.sleep(0.02)
        time.sleep(2)  # the other readers have their locks
        in_background(looks.application.database, RETYPE, done)

    threading.Thread(target=migrate, daemon=True).start()
    assert looks.look().changed
    assert done
    check(looks)
    assert "weight bigint" in looks.sql


@pytest.mark.parametrize("what", ["pg_dump", "Django", "rows"])
def test_a_migration_is_let_through_whatever_we_are_at(
    looks: Looks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    database = looks.application.database
    assert looks.look().changed
    looks.application.change()
    programs = looks.application.installed.folder / "slow"
    programs.mkdir()
    if what == "pg_dump":
        slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 50)
        monkeypatch.setattr(dataset, "dump_program", lambda _: slow)
    elif what == "Django":
        python = looks.application.virtualenv / "bin" / "python"
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
    assert looks.look().changed
    assert time.monotonic() - began < 35
    assert done
    assert done[0] < looks.settings.migration_wait + 5, "the migration was made to wait"
    check(looks)


def test_a_table_that_stays_locked_fails_loudly_after_the_attempts(
    looks: Looks, caplog: pytest.LogCaptureFixture
) -> None:
    looks.set(attempts=2, lock_timeout=0.5)
    database = looks.application.database
    with database.connect() as connection:
        connection.execute("LOCK TABLE checkouts_airstrip IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(LockTimeoutError, match="locked") as failed:
            looks.look()
        assert failed.value.exit_status == 5
        assert "attempt 1 of 2" in caplog.text
        assert looks.state.load() is None
        looks.set(attempts=8)
        threading.Timer(1.5, connection.rollback).start()
        assert looks.look().changed  # it waited, and tried again
    check(looks)


def test_what_hangs_is_ended(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = looks.application.installed.folder / "slow"
    programs.mkdir()
    slow = slow_program(programs, "pg_dump", dataset.dump_program(13), 300)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "dump_program", lambda _: slow)
        patch.setattr(watching, "STALL", 3.0)
        with pytest.raises(DatabaseError, match="nothing moved for 3 s"):
            looks.look()
    assert looks.look().changed

    with monkeypatch.context() as patch:
        hanging = programs / "psql"
        hanging.write_text("#!/bin/sh\nexec sleep 300\n")
        hanging.chmod(0o755)
        patch.setattr(mark, "client_program", lambda _: hanging)
        patch.setattr(mark, "_PATIENCE", 1)
        with pytest.raises(DatabaseError, match="no answer within 1 s"):
            looks.look()

    python = looks.application.virtualenv / "bin" / "python"
    real = python.with_name("real-python")
    python.rename(real)
    slow_program(programs, "python", real, 299).rename(python)
    with monkeypatch.context() as patch:
        patch.setattr(fixtures, "_PATIENCE", 1.0)
        with pytest.raises(ApplicationError):
            looks.look(force=True)
    assert "sleep 299" not in command_lines()  # what the wrapper started is gone as well
    assert looks.look(force=True).changed


def test_a_server_that_goes_down_during_a_dump_is_an_error_and_nothing_is_saved(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = looks.application.database

    def meanwhile() -> None:
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        database.cluster.execute(terminate, (database.user,))

    hooked(monkeypatch, dataset, "digest_table", meanwhile)
    with pytest.raises(BackupsError):
        looks.look()
    assert looks.state.load() is None
    assert looks.look().changed
    check(looks)
