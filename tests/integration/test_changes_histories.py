"""The cheap looks against the truth: generated histories of concurrent writers, and crashes that lose commits.

At each look, verdict and truth are of the same instant: the truth is a digest by other means, in the same transaction.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from checkniner_backups import changes
from checkniner_backups.postgres.dsn import Dsn, parse_url
from checkniner_backups.postgres.mark import cheap_mark, mark_of
from checkniner_backups.postgres.snapshot import exported_snapshot
from checkniner_backups.state import Saved

from sandbox.postgres import Cluster

TABLES = ("thing", "thing_link", "other")
SCHEMA = """
CREATE TABLE thing (id serial PRIMARY KEY, name text, amount numeric(9, 2), seen timestamptz DEFAULT now());
CREATE TABLE thing_link (id serial PRIMARY KEY, a int, b int);
CREATE TABLE other (name text COLLATE "C" PRIMARY KEY, data bytea);
CREATE TABLE noise (id serial PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text, applied timestamptz DEFAULT now());
INSERT INTO thing (name, amount) SELECT 'thing ' || n, n FROM generate_series(1, 40) n;
INSERT INTO other SELECT 'key ' || n, decode(md5(n::text), 'hex') FROM generate_series(1, 20) n;
"""
TRUTH = """
SELECT md5(concat_ws('|',
  (SELECT string_agg(row(id, name, amount, extract(epoch FROM seen))::text, ';' ORDER BY id) FROM public.thing),
  (SELECT string_agg(row(id, a, b)::text, ';' ORDER BY id) FROM public.thing_link),
  (SELECT string_agg(row(name, data)::text, ';' ORDER BY name) FROM public.other),
  (SELECT string_agg(row(attname, atttypid)::text, ';' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 'public.thing_link'::regclass AND attnum > 0)))
"""  # a column's type too: over an empty table, a migration is all that there is to see


@dataclass
class Observer:
    """Looks as ticks do, first and second look, and compares each verdict with the truth."""

    dsn: Dsn
    saved: Saved | None = None
    truth: str = ""
    seen: Counter[str] = field(default_factory=Counter)

    def look(self) -> None:
        """Look once."""
        with psycopg.connect(self.dsn.url(), autocommit=True) as connection:
            self.look_cheaply(connection)

    def look_cheaply(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """The first look; where it does not settle it, the second."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Or a TRUNCATE between the mark and the truth would make the truth lie: it empties a table under a snapshot.
        connection.execute("LOCK TABLE thing, thing_link, other IN ACCESS SHARE MODE")
        verdict = changes.by_mark(self.saved, mark_of(connection)) if self.saved else None
        if verdict:
            ((truth,),) = connection.execute(TRUTH).fetchall()
            assert truth == self.truth, "the mark said unchanged"
            self.seen["mark"] += 1
        connection.execute("ROLLBACK")
        if not verdict:
            self.look_at_rows()

    def look_at_rows(self) -> None:
        """The second look; what differs counts as saved."""
        with exported_snapshot(self.dsn, 5) as snapshot:
            ((truth,),) = snapshot.connection.execute(TRUTH).fetchall()
            tables, whole = changes.business_tables(snapshot, TABLES)
            now, _ = changes.take_fingerprint(
                snapshot.connection,
                tables,
                migrations=snapshot.find(changes.MIGRATIONS_TABLE),
                everything=snapshot.tables,
                ignored={},
                whole=whole,
            )
            unchanged = self.saved is not None and changes.by_rows(self.saved, now) is not None
            assert unchanged == (truth == self.truth), "the rows' digest and the truth disagree"
            self.seen["rows" if unchanged else "changed"] += 1
            self.truth = str(truth)
            self.saved = Saved(
                key="db/x", size=1, sha256="", at=0, shape="", source="", mark=snapshot.mark, business_tables=TABLES,
                ignored={}, fingerprint=now, fixtures={}, full_look_at=0, seen_in_store_at=0, django="",
            )  # fmt: skip


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


@pytest.fixture
def crashing() -> Iterator[Cluster]:
    """A cluster that a test may crash, whose asynchronous commits stay unwritten for long."""
    with Cluster(settings={"wal_writer_delay": "10s", "fsync": "on", "full_page_writes": "on"}) as cluster:
        for statement in ("CREATE ROLE writer SUPERUSER LOGIN PASSWORD 'writer'", "CREATE DATABASE history"):
            cluster.execute(statement)
        with psycopg.connect(cluster.url("history", "writer", "writer")) as connection:
            connection.execute(SCHEMA)
        yield cluster


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
    assert observer.seen["mark"] > 100, observer.seen


def change(cluster: Cluster, synchronous: bool, amount: int) -> None:
    """Commit a change, which a crash may take back where the commit is asynchronous."""
    with psycopg.connect(cluster.url("history", "writer", "writer"), autocommit=True) as connection:
        connection.execute(f"SET synchronous_commit = {'on' if synchronous else 'off'}")
        connection.execute("UPDATE thing SET amount = %s WHERE id = 1", (amount,))


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_crash_hides_nothing_even_where_it_takes_commits_back(crashing: Cluster, synchronous: bool) -> None:
    observer = Observer(parse_url(crashing.url("history", "writer", "writer")))
    observer.look()
    crashing.execute("CHECKPOINT")
    taken_back = 0
    for number in range(4):
        change(crashing, synchronous, 1000 + number)
        observer.look()
        observer.look()
        before = observer.truth
        if number % 2:
            # One backend dies: the postmaster lives on, recovers, and may hand out the same transaction ids again.
            with psycopg.connect(crashing.url("history", "writer", "writer")) as connection:
                os.kill(connection.info.backend_pid, signal.SIGKILL)
        else:
            crashing.kill()
            crashing.start()
        wait_for(crashing)
        # The same number of transactions, other rows: where ids come again, the snapshot's text does too.
        for _ in range(1 if synchronous else 3):
            observer.look()
        taken_back += observer.truth != before
        change(crashing, synchronous, 2000 + number)
        observer.look()
    assert bool(taken_back) == (not synchronous)
    assert observer.seen["changed"] >= 8, observer.seen


def wait_for(cluster: Cluster) -> None:
    """Wait until the cluster lets us in again."""
    for _ in range(400):
        try:
            cluster.execute("SELECT 1")
        except psycopg.Error:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(cluster.log[-2000:])


def test_without_what_tells_server_runs_apart_a_crash_would_hide_a_change(crashing: Cluster) -> None:
    """Why the mark holds more than the snapshot: after a crash, the same text may stand for other rows."""
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    crashing.execute("CHECKPOINT")
    change(crashing, synchronous=False, amount=1)
    marked = cheap_mark(dsn)
    crashing.kill()
    crashing.start()
    snapshots = []
    for amount in range(2, 60):
        snapshots.append(cheap_mark(dsn).partition("/")[0])
        if snapshots[-1] == marked.partition("/")[0]:
            break
        change(crashing, synchronous=True, amount=amount)
    assert snapshots[-1] == marked.partition("/")[0], "transaction ids did not come again"
    assert cheap_mark(dsn) != marked


def test_a_replaced_cluster_or_database_is_not_taken_for_the_old_one(crashing: Cluster) -> None:
    """A copy of the files from before: the same identifier, lower transaction ids, which soon come again."""
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    observer = Observer(dsn)
    crashing.stop()
    old = crashing.data.with_name("old")
    shutil.copytree(crashing.data, old)
    crashing.account.own(old)
    crashing.start()
    marks = []
    for amount in range(5):
        change(crashing, synchronous=True, amount=amount)
        observer.look()
        marks.append(cheap_mark(dsn))
    crashing.stop()
    shutil.rmtree(crashing.data)
    old.rename(crashing.data)
    crashing.start()
    repeated = 0
    for amount in range(5):
        change(crashing, synchronous=True, amount=-amount)
        observer.look()
        now = cheap_mark(dsn)
        assert now not in marks
        repeated += now.partition("/")[0] in {mark.partition("/")[0] for mark in marks}
    assert repeated
    assert observer.seen["changed"] == 10

    before = cheap_mark(dsn)
    crashing.execute("CREATE DATABASE history_copy TEMPLATE history")
    crashing.execute("ALTER DATABASE history RENAME TO history_old")
    crashing.execute("ALTER DATABASE history_copy RENAME TO history")
    copied = cheap_mark(dsn)
    assert [part for part in range(7) if before.split("/")[part] != copied.split("/")[part]] == [0, 1]

    # Another role may see other rows.
    crashing.execute("CREATE ROLE second SUPERUSER LOGIN PASSWORD 'second'")
    first, second = cheap_mark(dsn), cheap_mark(parse_url(crashing.url("history", "second", "second")))
    assert first.replace("/writer/", "/second/") == second


def test_a_standby_has_no_mark(crashing: Cluster) -> None:
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    assert cheap_mark(dsn)
    crashing.stop()
    signal_file = crashing.data / "standby.signal"
    signal_file.touch()
    crashing.account.own(signal_file)
    crashing.start()
    assert cheap_mark(dsn) == ""
    assert changes.by_mark(Observer(dsn).saved or empty(), "") is None


def empty() -> Saved:
    """Return a memory without a mark."""
    from tests.unit.test_changes import saved

    return saved(mark="")
