"""The cheap checks against the truth, in generated histories of concurrent writers."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from checkniner_backups.postgres.dsn import parse_url

from sandbox.postgres import Cluster
from tests.observing import Observer, crashing

__all__ = ["crashing"]


class Writer(threading.Thread):
    """Does what applications do, and odd things, until told to stop; a server that goes away ends it."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.url, self.random, self.number = url, random.Random(seed), seed
        self.stopping = threading.Event()
        self.done: Counter[str] = Counter()
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.stopping.is_set():
                    kind = self.random.choice(KINDS)
                    with contextlib.suppress(psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled):
                        self.do(connection, kind)
                        self.done[kind] += 1
                    if self.random.random() < 0.5:
                        self.stopping.wait(self.random.random() * 0.02)
        except psycopg.OperationalError:
            pass  # crashed on purpose
        except Exception as error:  # noqa: BLE001 - handed to the test
            self.failure = error

    def write(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """One statement on business rows, or on others."""
        number = self.random.randrange(1, 60)
        statement = self.random.choice((
            f"INSERT INTO thing (name, amount) VALUES ('new', {number})",
            f"UPDATE thing SET amount = amount + 0.01 WHERE id = {number}",
            f"UPDATE thing SET name = name WHERE id = {number}",
            f"UPDATE thing SET seen = seen + interval '1 microsecond' WHERE id = {number}",
            f"DELETE FROM thing WHERE id = {number}",
            f"INSERT INTO thing_link (a, b) VALUES ({number}, {number + 1})",
            f"DELETE FROM thing_link WHERE a = {number}",
            f"INSERT INTO other VALUES ('key {number}', '\\x0102') ON CONFLICT (name) DO UPDATE SET data = '\\x03'",
            "INSERT INTO noise DEFAULT VALUES",
            "DELETE FROM noise WHERE id % 2 = 0",
        ))  # fmt: skip
        connection.execute(statement)

    def do(self, connection: psycopg.Connection[tuple[object, ...]], kind: str) -> None:
        """One transaction of this kind."""
        if kind == "single":
            self.write(connection)
            return
        if kind == "idle":
            self.stopping.wait(0.05)
            return
        if kind == "vacuum":
            connection.execute(self.random.choice(("VACUUM noise", "ANALYZE thing", "VACUUM thing", "CHECKPOINT")))
            return
        connection.execute("BEGIN")
        try:
            for _ in range(self.random.randrange(1, 4)):
                if kind == "savepoints":
                    connection.execute("SAVEPOINT s")
                self.write(connection)
                if kind == "savepoints":
                    connection.execute(self.random.choice(("ROLLBACK TO SAVEPOINT s", "RELEASE SAVEPOINT s")))
                if kind == "slow":
                    self.stopping.wait(0.03)
            if kind == "truncate":
                connection.execute(self.random.choice(("TRUNCATE thing_link", "TRUNCATE noise")))
            if kind == "ddl":
                connection.execute(self.random.choice((
                    "ALTER TABLE thing_link ALTER COLUMN a TYPE bigint",
                    "ALTER TABLE thing_link ALTER COLUMN a TYPE int",
                )))  # fmt: skip
            if kind == "two-phase":
                name = f"t{self.number}"
                connection.execute(f"PREPARE TRANSACTION '{name}'")
                self.stopping.wait(0.02)
                connection.execute(self.random.choice((f"COMMIT PREPARED '{name}'", f"ROLLBACK PREPARED '{name}'")))
            else:
                connection.execute("ROLLBACK" if kind == "rollback" else "COMMIT")
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise


KINDS = ("single", "single", "slow", "savepoints", "rollback", "two-phase", "idle", "idle", "vacuum", "truncate", "ddl")


@contextlib.contextmanager
def writers(url: str, count: int, seed: int) -> Iterator[list[Writer]]:
    """Run writers for as long as the block lasts; a failure of one is raised."""
    threads = [Writer(url, seed * 100 + number) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stopping.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    for thread in threads:
        if thread.failure:
            raise thread.failure


@pytest.mark.parametrize("seed", [1, 2])
def test_no_change_of_concurrent_writers_is_missed(crashing: Cluster, seed: int) -> None:
    url = crashing.url("history", "writer", "writer")
    observer = Observer(parse_url(url))
    total: Counter[str] = Counter()
    for round_ in range(4):
        with writers(url, round_, seed * 10 + round_) as threads:  # none at first, then one more each time
            end = time.monotonic() + 2.5
            with psycopg.connect(url, autocommit=True) as connection:
                while time.monotonic() < end:
                    observer.look_cheaply(connection)
        for thread in threads:
            total += thread.done
    assert set(total) == set(KINDS), total
    assert observer.seen["changed"] > 5, observer.seen
    assert observer.seen["rows"], observer.seen
    assert observer.seen["versions"] > 5, observer.seen
    assert observer.seen["token"] > 100, observer.seen
