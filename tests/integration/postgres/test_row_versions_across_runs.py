"""The row-version check after crashes, on standbys, and where transaction ids begin anew."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.snapshot_token import read_token

from sandbox.postgres import Cluster
from sandbox.standby import standby_of, wait_for_replay
from tests.observing import crashing
from tests.watching import Watch

__all__ = ["crashing"]


def url(cluster: Cluster) -> str:
    """Return the URL of the database of `crashing`."""
    return cluster.url("history", "writer", "writer")


def write(cluster: Cluster, statement: str, *, synchronous: bool = True) -> None:
    """Commit a statement, which a crash may take back where the commit is asynchronous."""
    with psycopg.connect(url(cluster), autocommit=True) as connection:
        connection.execute(f"SET synchronous_commit = {'on' if synchronous else 'off'}")
        connection.execute(psycopg.sql.SQL(statement))


def pull_the_plug(cluster: Cluster) -> None:
    """Kill all of the server, and start it."""
    cluster.kill()
    cluster.start()


def kill_a_backend(cluster: Cluster) -> None:
    """Kill one backend: the postmaster lives on, and recovers."""
    with psycopg.connect(url(cluster)) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            cluster.execute("SELECT 1")
        except psycopg.Error:
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("crash", [pull_the_plug, kill_a_backend])
def test_a_crash_that_takes_commits_back_is_seen(crashing: Cluster, crash: Callable[[Cluster], None]) -> None:
    """The versions of before are visible again, none is new, and as many as the lost ones were."""
    watch = Watch(url(crashing), "thing", "other")
    crashing.execute("CHECKPOINT")
    write(crashing, "UPDATE thing SET name = 'lost' WHERE id = 1", synchronous=False)
    watch.remember()
    assert watch.look() == {"thing", "other"}
    crash(crashing)
    assert watch.look() == set()
    with psycopg.connect(url(crashing)) as connection:
        lost = connection.execute("SELECT count(*) FROM thing WHERE name = 'lost'").fetchone()
    assert lost == (0,), "the crash took nothing back"
    watch.remember()
    # Ids of before the crash come again: lower than the ones that are remembered.
    assert watch.look() == {"thing", "other"}
    write(crashing, "UPDATE thing SET name = 'again' WHERE id = 1")
    assert watch.look() == {"other"}


@pytest.fixture
def standby(crashing: Cluster) -> Iterator[Cluster]:
    """A standby of `crashing`, which follows it by streaming."""
    with standby_of(crashing) as made:
        yield made


def test_a_standby_and_what_it_is_promoted_to(crashing: Cluster, standby: Cluster) -> None:
    primary = Watch(url(crashing), "thing", "other")
    primary.remember()
    wait_for_replay(crashing, standby)
    # The same rows, but no transaction that is in progress is known here.
    elsewhere = Watch(url(standby), "thing", "other")
    elsewhere.last = primary.last
    assert elsewhere.look() == set()
    elsewhere.remember()
    assert elsewhere.look() == set()
    assert elsewhere.last
    assert not elsewhere.last.row_versions.rows

    standby.execute("SELECT pg_promote()")
    assert elsewhere.look() == set()
    elsewhere.last = primary.last
    write(standby, "UPDATE thing SET name = 'promoted' WHERE id = 1")
    assert elsewhere.look() == set()
    elsewhere.remember()
    assert elsewhere.look() == {"thing", "other"}
    standby.execute("CHECKPOINT")
    write(standby, "DELETE FROM thing WHERE id = 1")
    assert elsewhere.look() <= {"other"}


def reset(cluster: Cluster, next_id: int) -> None:
    """Let the stopped cluster hand out transaction ids from here on; all versions are frozen, so nothing is lost."""
    subprocess.run(
        [cluster.binaries / "pg_resetwal", "-f", "-x", str(next_id), cluster.data],
        check=True, cwd=cluster.folder, capture_output=True, env={"PATH": "/usr/bin:/bin"},
        **cluster.account.options(),
    )  # fmt: skip
    # A segment of pg_xact holds 32 pages of 8 KiB, 4 transactions in a byte.
    segment = cluster.data / "pg_xact" / f"{next_id // (32 * 8192 * 4):04X}"
    if not segment.exists():
        segment.write_bytes(bytes(32 * 8192))
        cluster.account.own(segment)


def freeze(cluster: Cluster) -> None:
    """Freeze all versions of all databases."""
    cluster.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    for (name,) in cluster.execute("SELECT datname FROM pg_database"):
        cluster.execute("VACUUM FREEZE", database=name)


@pytest.fixture
def nearly(crashing: Cluster) -> Cluster:
    """`crashing`, a hundred transaction ids before their numbers wrap."""
    with (crashing.data / "postgresql.conf").open("a") as file:
        file.write("autovacuum = off\n")
    for next_id in (2_000_000_000, 4_000_000_000, (1 << 32) - 100):
        freeze(crashing)
        crashing.stop()
        reset(crashing, next_id)
        crashing.start()
    return crashing


def burn(cluster: Cluster, count: int) -> None:
    """Use up transaction ids."""
    with psycopg.connect(url(cluster), autocommit=True) as connection:
        for _ in range(count):
            connection.execute("SELECT pg_current_xact_id()")


def test_transaction_ids_wrap_between_two_looks(nearly: Cluster) -> None:
    write(nearly, "UPDATE thing SET name = 'before the wrap'")
    watch = Watch(url(nearly), "thing", "other")
    watch.remember()
    assert "thing" in watch.look()
    burn(nearly, 300)
    token = read_token(parse_url(url(nearly)))
    assert int(token.split(":")[0]) > 1 << 32
    assert "thing" in watch.look()
    write(nearly, "UPDATE thing SET name = 'after the wrap' WHERE id = 2")
    assert "thing" not in watch.look()
    watch.remember()
    assert "thing" in watch.look()
    write(nearly, "DELETE FROM thing WHERE id = 3; INSERT INTO thing (name) VALUES ('new')")
    assert "thing" not in watch.look()


def test_half_of_all_ids_away_nothing_is_said(nearly: Cluster) -> None:
    """What nobody can wait for is made by hand: a memory that is older than it is."""
    write(nearly, "UPDATE thing SET name = 'before'")
    watch = Watch(url(nearly), "thing")
    watch.remember()
    assert watch.last
    versions = watch.last.row_versions
    oldest, _, rest = versions.token.partition(":")
    for distance in ((1 << 31) + 200, (1 << 31) + (1 << 20)):
        aged = replace(versions, token=f"{int(oldest) - distance}:{rest}")
        watch.last = replace(watch.last, row_versions=aged)
        write(nearly, "UPDATE thing SET amount = amount + 1")
        assert watch.look() == set()
