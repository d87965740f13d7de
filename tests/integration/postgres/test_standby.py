"""A hot standby as the source: what a tick sees there, and what it does where the standby ends it or is cut off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.backup import detect, dump, safety
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.django_app.sources import owner_dsn
from checkniner_backups.errors import DatabaseError, LockTimeoutError
from checkniner_backups.postgres import standby as engine
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.metadata import database_metadata
from checkniner_backups.postgres.snapshot import plain_reader
from checkniner_backups.postgres.snapshot_token import read_token

import tests.plugins.application as plugin
from sandbox.postgres import Cluster
from sandbox.standby import standby_of, wait_for_replay
from tests.change_checks import ChangeChecks, must_be_quiet

RunningApplication = plugin.RunningApplication


@pytest.fixture(scope="module")
def standby(cluster: Cluster) -> Iterator[Cluster]:
    """A standby that ends at once what stands in the way of its replay."""
    with standby_of(cluster, {"max_standby_streaming_delay": "0"}) as made:
        yield made


@pytest.fixture
def checks(application: RunningApplication, standby: Cluster, tmp_path: Path) -> ChangeChecks:
    """Change checks that read from the standby, of which the URL says that it is the second of two hosts."""
    database = application.database
    wait_for_replay(database.cluster, standby)
    login = f"{database.user}:{database.password}"
    hosts = f"127.0.0.1:{database.cluster.port},127.0.0.1:{standby.port}"
    url = f"postgresql://{login}@{hosts}/{database.name}?target_session_attrs=standby"
    return ChangeChecks(application, tmp_path, database_url=url)


def change(checks: ChangeChecks, standby: Cluster) -> None:
    """Change a row on the primary, and wait until the standby shows the change."""
    checks.application.change()
    wait_for_replay(checks.application.database.cluster, standby)


def test_ticks_from_a_standby(checks: ChangeChecks, standby: Cluster) -> None:
    assert read_token(parse_url(checks.settings.database_url)) == ""
    assert checks.check().changed
    for _ in range(2):
        verdict = checks.check()
        assert (verdict.changed, verdict.level) == (False, CheckLevel.ROWS)
    saved = checks.state.load()
    assert saved
    assert (saved.snapshot_token, saved.row_versions.rows) == ("", {})

    change(checks, standby)
    assert "rows of public.checkouts_airstrip" in checks.check().reason
    assert len(checks.rows("checkouts_airstrip")) == len(checks.objects("checkouts.airstrip"))
    assert any("Changed" in row for row in checks.rows("checkouts_airstrip"))
    assert not checks.dumped.missing
    # What a restore makes the database of is what the primary tells.
    assert checks.dumped.dataset
    with plain_reader(parse_url(checks.application.database.url)) as (connection, _):
        told, found = database_metadata(connection), checks.dumped.dataset.database
    assert {name: found.get(name) for name in told} == told


def before_the_readers(patch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let `act` run once the snapshot is taken."""
    original = dump.sequence_metadata

    def first(connection: Any) -> Any:
        act()
        return original(connection)

    patch.setattr(dump, "sequence_metadata", first)


def while_django_reads(patch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let `act` run once Django begins to read the last app's rows."""
    original = dump._Fixtures._open

    def first(self: Any, app: str) -> Any:
        if app == "checkouts":
            act()
        return original(self, app)

    patch.setattr(dump._Fixtures, "_open", first)


@pytest.mark.late("autovacuum on the primary may end a reader on the standby as well")
@pytest.mark.parametrize("when", [before_the_readers, while_django_reads])
def test_what_a_conflict_with_replay_ends_is_read_anew(
    checks: ChangeChecks, standby: Cluster, monkeypatch: pytest.MonkeyPatch, when: Callable[..., None]
) -> None:
    database = checks.application.database
    migrations: list[str] = []

    def migrate() -> None:
        migrations.append(f"extra_{len(migrations)}")
        database.execute(f"ALTER TABLE checkouts_airstrip ADD {migrations[-1]} integer")
        wait_for_replay(database.cluster, standby)

    monkeypatch.setattr(detect.time, "sleep", lambda _: None)
    when(monkeypatch, migrate)
    checks.set(attempts=2)
    with pytest.raises(LockTimeoutError):
        checks.check()
    assert len(migrations) == 2
    assert checks.state.load() is None

    monkeypatch.undo()
    checks.set(attempts=5)
    monkeypatch.setattr(detect.time, "sleep", lambda _: None)
    when(monkeypatch, lambda: None if len(migrations) > 2 else migrate())
    assert checks.check().changed
    assert len(migrations) == 3
    assert "extra_2" in checks.sql
    assert not checks.dumped.missing
    assert len(checks.rows("checkouts_checkout")) == len(checks.objects("checkouts.checkout")) == plugin.ROWS


def test_a_standby_that_is_behind_or_cut_off_is_no_source(
    checks: ChangeChecks, standby: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks.check().changed
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        checks.application.change()
        received(checks.application.database.cluster, standby)
        monkeypatch.setattr(engine, "PATIENCE", 0.5)
        with pytest.raises(DatabaseError, match=r"has not replayed within .* what it had received"):
            checks.check()
        # What a restore is about to replace is saved from where it is replaced.
        assert safety._live(checks.settings) == owner_dsn(checks.settings)[0]
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")
    monkeypatch.setattr(engine, "PATIENCE", 30.0)
    assert checks.check().changed

    ((followed,),) = standby.execute("SHOW primary_conninfo")
    monkeypatch.setattr(engine, "PATIENCE", 0.5)
    try:
        follow(standby, "")
        eventually(lambda: not standby.execute("SELECT 1 FROM pg_stat_wal_receiver"))
        checks.application.change()
        with pytest.raises(DatabaseError, match="receives nothing from a primary"):
            checks.check()
    finally:
        follow(standby, followed)
    monkeypatch.setattr(engine, "PATIENCE", 30.0)
    wait_for_replay(checks.application.database.cluster, standby)
    assert checks.check().changed


def test_a_promoted_standby(checks: ChangeChecks, standby: Cluster) -> None:
    """The last test here: nothing follows the primary any more."""
    database = checks.application.database
    checks.set(database_url=standby.url(database.name, database.user, database.password))
    assert checks.check().changed
    standby.execute("SELECT pg_promote()")
    assert checks.check().level is CheckLevel.ROWS
    must_be_quiet(checks)
    standby.execute("UPDATE checkouts_airstrip SET name = name || '!' WHERE id = 1", database=database.name)
    assert "rows of public.checkouts_airstrip" in checks.check().reason


def received(primary: Cluster, standby: Cluster) -> None:
    """Return when the standby has received what the primary has written."""
    ((position,),) = primary.execute("SELECT pg_current_wal_flush_lsn()::text")
    eventually(lambda: standby.execute("SELECT pg_last_wal_receive_lsn() >= %s::pg_lsn", (position,))[0][0])


def follow(standby: Cluster, connection: str) -> None:
    """Given the words that lead to a primary, or none, let the standby follow it."""
    quoted = connection.replace("'", "''")
    standby.execute(f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
    standby.execute("SELECT pg_reload_conf()")


def eventually(holds: Callable[[], Any]) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
