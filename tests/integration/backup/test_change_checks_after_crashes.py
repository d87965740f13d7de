"""The cheap checks against the truth, after crashes that lose commits, in copies of a cluster, on a standby."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psycopg
import pytest
from checkniner_backups.backup import changes
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.snapshot_token import read_token
from checkniner_backups.state.last_backup import LastBackup

from sandbox.postgres import Cluster
from tests.observing import Observer, crashing

pytestmark = pytest.mark.late("a server is killed and started again")

__all__ = ["crashing"]


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
    """Why the token holds more than the snapshot: after a crash, the same text may stand for other rows."""
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    crashing.execute("CHECKPOINT")
    change(crashing, synchronous=False, amount=1)
    marked = read_token(dsn)
    crashing.kill()
    crashing.start()
    snapshots = []
    for amount in range(2, 60):
        snapshots.append(read_token(dsn).partition("/")[0])
        if snapshots[-1] == marked.partition("/")[0]:
            break
        change(crashing, synchronous=True, amount=amount)
    assert snapshots[-1] == marked.partition("/")[0], "transaction ids did not come again"
    assert read_token(dsn) != marked


def test_a_replaced_cluster_or_database_is_not_taken_for_the_old_one(crashing: Cluster) -> None:
    """A copy of the files from before: the same identifier, lower transaction ids, which soon come again."""
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    observer = Observer(dsn)
    crashing.stop()
    old = crashing.data.with_name("old")
    shutil.copytree(crashing.data, old)
    crashing.account.own(old)
    crashing.start()
    tokens = []
    for amount in range(5):
        change(crashing, synchronous=True, amount=amount)
        observer.look()
        tokens.append(read_token(dsn))
    crashing.stop()
    shutil.rmtree(crashing.data)
    old.rename(crashing.data)
    crashing.start()
    repeated = 0
    for amount in range(5):
        change(crashing, synchronous=True, amount=-amount)
        observer.look()
        now = read_token(dsn)
        assert now not in tokens
        repeated += now.partition("/")[0] in {token.partition("/")[0] for token in tokens}
    assert repeated
    assert observer.seen["changed"] == 10

    before = read_token(dsn)
    crashing.execute("CREATE DATABASE history_copy TEMPLATE history")
    crashing.execute("ALTER DATABASE history RENAME TO history_old")
    crashing.execute("ALTER DATABASE history_copy RENAME TO history")
    copied = read_token(dsn)
    assert [part for part in range(7) if before.split("/")[part] != copied.split("/")[part]] == [0, 1]

    # Another role may see other rows.
    crashing.execute("CREATE ROLE second SUPERUSER LOGIN PASSWORD 'second'")
    first, second = read_token(dsn), read_token(parse_url(crashing.url("history", "second", "second")))
    assert first.replace("/writer/", "/second/") == second


def test_a_standby_has_no_mark(crashing: Cluster) -> None:
    dsn = parse_url(crashing.url("history", "writer", "writer"))
    assert read_token(dsn)
    crashing.stop()
    signal_file = crashing.data / "standby.signal"
    signal_file.touch()
    crashing.account.own(signal_file)
    crashing.start()
    assert read_token(dsn) == ""
    assert changes.by_token(Observer(dsn).saved or empty(), "") is None


def empty() -> LastBackup:
    """Return a memory without a token."""
    from tests.unit.backup.test_changes import saved

    return saved(snapshot_token="")
