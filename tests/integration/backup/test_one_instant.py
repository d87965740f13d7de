"""Everything in an archive is of one instant, whatever runs meanwhile; parts that disagree are saved nowhere."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from checkniner_backups.backup import dump as dataset
from checkniner_backups.django_app import process as fixtures
from checkniner_backups.errors import BackupsError, DatabaseError
from checkniner_backups.postgres import snapshot

from tests.change_checks import ChangeChecks
from tests.pairs import PAIRS, check, checks, hooked
from tests.plugins.postgres import Database

__all__ = ["checks"]


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


def test_with_writers_at_work_every_archive_is_of_one_instant(checks: ChangeChecks) -> None:
    database = checks.application.database
    ((weight,),) = database.execute("SELECT sum(weight) FROM checkouts_pilotweight")
    workers = [Worker(database, work) for work in (pair, pair, transfer)]
    sizes = set()
    with at_work(*workers):
        for _ in range(4):
            assert checks.check(force=True).changed
            pairs, total = check(checks)
            sizes.add(pairs)
            assert total == weight
    assert len(sizes) == 4
    assert all(len(worker.durations) > 20 for worker in workers)


def test_with_migrations_and_truncate_at_work_nothing_is_silently_empty(checks: ChangeChecks) -> None:
    database = checks.application.database
    ((weight,),) = database.execute("SELECT sum(weight) FROM checkouts_pilotweight")
    workers = [Worker(database, work) for work in (pair, transfer, truncate, retype)]
    deadline, done = time.monotonic() + 60, 0
    with at_work(*workers):
        while done < 4 or any(len(worker.durations) < 3 for worker in workers):
            assert time.monotonic() < deadline, [len(worker.durations) for worker in workers]
            assert checks.check(force=True).changed
            _, total = check(checks)
            assert total == weight
            done += 1
    longest = max(duration for worker in workers for duration in worker.durations)
    assert longest < 15, "somebody was made to wait"


def test_what_is_committed_after_the_snapshot_is_in_no_part(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = checks.application.database

    def meanwhile() -> None:
        database.execute(PAIRS.format(count=700))
        database.execute("DELETE FROM checkouts_pilotweight WHERE id = (SELECT min(id) FROM checkouts_pilotweight)")

    ((weights,),) = database.execute("SELECT count(*) FROM checkouts_pilotweight")
    hooked(monkeypatch, dataset, "database_metadata", meanwhile)
    assert checks.check().changed
    assert check(checks)[0] == 3000
    assert len(checks.rows("checkouts_pilotweight")) == weights
    # ... and the token that is remembered is the snapshot's, not one of afterwards.
    verdict = checks.check()
    assert verdict.changed
    assert check(checks)[0] == 3700


def test_what_would_empty_a_table_under_a_snapshot_has_to_wait(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = checks.application.database
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

    hooked(monkeypatch, dataset, "database_metadata", meanwhile)
    assert checks.check().changed
    assert check(checks)[0] == 3000
    assert len(refused) == 5


def test_parts_that_disagree_are_no_dataset(checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last net: were a reader ever to miss the snapshot, nothing would be saved."""
    database = checks.application.database
    original = fixtures.FixturesProcess.dump

    def without_snapshot(process: Any, **values: Any) -> Any:
        database.execute(PAIRS.format(count=1))
        return original(process, **{**values, "snapshot": None})

    with monkeypatch.context() as patch:
        patch.setattr(fixtures.FixturesProcess, "dump", without_snapshot)
        with pytest.raises(DatabaseError, match=r"3000 rows, but 3001 in the fixture"):
            checks.check()
    with monkeypatch.context() as patch:
        patch.setattr(dataset.RowCounter, "feed", lambda *_: None)
        with pytest.raises(DatabaseError, match="rows, but None in the SQL"):
            checks.check()
    assert checks.state.load() is None


def test_a_table_that_comes_while_tables_are_locked_is_not_left_out(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = checks.application.database
    hooked(monkeypatch, snapshot, "_lock", lambda: database.execute("CREATE TABLE late AS SELECT 1 AS a") and None)
    assert checks.check().changed
    assert checks.rows("late") == [["1"]]
    assert checks.dumped.dataset
    assert "late" in [table["name"] for table in checks.dumped.dataset.tables]  # locked, counted, hashed


def test_a_server_that_goes_down_during_a_dump_is_an_error_and_nothing_is_saved(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = checks.application.database

    def meanwhile() -> None:
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s"
        database.cluster.execute(terminate, (database.user,))

    hooked(monkeypatch, dataset, "digest_table", meanwhile)
    with pytest.raises(BackupsError):
        checks.check()
    assert checks.state.load() is None
    assert checks.check().changed
    check(checks)
