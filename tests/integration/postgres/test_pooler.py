"""Behind a pooler nothing is read that needs a connection of its own, and the application's connections stay clean."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from checkniner_backups.errors import SettingsError
from checkniner_backups.postgres import snapshot
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.session import connect

import tests.plugins.application as plugin
from sandbox.server import Server
from tests.change_checks import ChangeChecks
from tests.plugins.postgres import Database
from tests.pooler import MADE_UP, Pooler

pytestmark = pytest.mark.late("autovacuum may move the snapshot token between two looks")

RunningApplication = plugin.RunningApplication

SETTINGS = ("search_path", "lock_timeout", "row_security", "TimeZone", "statement_timeout", "DateStyle")


@pytest.fixture
def pooler(database: Database) -> Iterator[Pooler]:
    with Pooler(database.cluster.port) as pooler:
        yield pooler


def pooled(database: Database, pooler: Pooler) -> str:
    return database.url.replace(f":{database.cluster.port}/", f":{pooler.port}/")


def seen_by_the_application(url: str) -> dict[str, str]:
    """Return the settings that the web application finds on its next connection."""
    with psycopg.connect(url) as connection:
        found = {name: connection.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in SETTINGS}
        found["statements"] = str(connection.execute("SELECT name FROM pg_prepared_statements").fetchall())
        return found


def test_the_pooler_is_one(database: Database, pooler: Pooler) -> None:
    url = pooled(database, pooler)
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.info.backend_pid == MADE_UP
        connection.execute("SET lock_timeout = '7s'")
    assert seen_by_the_application(url)["lock_timeout"] == "7s"


def test_a_snapshot_is_refused_before_anything_is_set(database: Database, pooler: Pooler) -> None:
    url = pooled(database, pooler)
    before = seen_by_the_application(url)
    with (
        pytest.raises(SettingsError, match="reached through a pooler") as refused,
        snapshot.exported_snapshot(parse_url(url), 1.0),
    ):
        pass
    assert "checkniner_backups_database_url" in refused.value.hint
    assert database.password not in str(refused.value)
    assert seen_by_the_application(url) == before


def test_a_reader_leaves_nothing_behind(database: Database, pooler: Pooler) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    url = pooled(database, pooler)
    before = seen_by_the_application(url)
    with snapshot.plain_reader(parse_url(url)) as (connection, tables):
        assert [table.name for table in tables] == ["t"]
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)
        assert connection.execute("SHOW row_security").fetchone() == ("off",)
    assert seen_by_the_application(url) == before


def test_no_statement_stays_prepared(database: Database, pooler: Pooler) -> None:
    url = pooled(database, pooler)
    before = seen_by_the_application(url)
    with connect(parse_url(url)) as connection:
        for number in range(20):
            connection.execute("SELECT %s::integer", (number,))
    assert seen_by_the_application(url) == before


def test_whoever_waits_for_a_lock_is_seen(database: Database) -> None:
    database.execute("CREATE TABLE t AS SELECT 1 AS a")
    with snapshot.exported_snapshot(parse_url(database.url), 1.0) as taken, database.connect() as migration:
        assert not taken.waiting()
        waiter = threading.Thread(target=lambda: migration.execute("ALTER TABLE t ADD b integer"))
        waiter.start()
        deadline = time.monotonic() + 30
        while not (seen := taken.waiting()) and time.monotonic() < deadline:
            time.sleep(0.01)
        taken.connection.execute("ROLLBACK")  # lets it go
        waiter.join()
        assert seen


def test_a_tick_and_the_check_refuse_a_pooler(server: Server, application: RunningApplication) -> None:
    first = server.tick()
    assert first["saved"]
    with Pooler(application.database.cluster.port) as pooler:
        url = pooled(application.database, pooler)
        before = seen_by_the_application(url)
        application.installed.environment["DATABASE_URL"] = url
        application.installed.write_activate()
        application.change()
        for command in ("run", "check"):
            failed = server.run(command, check=False)
            assert failed.returncode == 3, failed.stderr
            assert "pooler" in failed.stderr
            assert "HINT: set checkniner_backups_database_url to PostgreSQL's own port" in failed.stderr
        assert seen_by_the_application(url) == before
        assert server.keys() == [first["key"]]

        # The way past it that the hint names.
        server.write_environment(CHECKNINER_BACKUPS_DATABASE_URL=application.database.url)
        pooler.queries.clear()
        assert server.tick()["saved"]
        assert "can be listed" in server.run("check").stdout
        assert pooler.queries == []


def test_a_pooler_put_in_between_stops_the_next_changed_tick(application: RunningApplication, tmp_path: Path) -> None:
    """At an address that is known: no look without a memory comes first."""
    with Pooler(application.database.cluster.port) as pooler:
        checks = ChangeChecks(application, tmp_path)
        assert checks.check().changed
        saved = checks.state.load()
        assert saved
        url = pooled(application.database, pooler)
        checks.state.store_over(saved, type(saved)(**{**vars(saved), "database_id": parse_url(url).database_id()}))
        checks.set(database_url=url)
        assert not checks.check().changed  # an idle tick leaves nothing behind, and is as cheap as ever
        application.change()
        before = seen_by_the_application(url)
        with pytest.raises(SettingsError, match="pooler"):
            checks.check()
        assert seen_by_the_application(url) == before
