"""A server that speaks German: what failed is told by SQLSTATE or by state, never by English words."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from checkniner_backups.backup.dump import _Sql as SqlReader
from checkniner_backups.errors import DatabaseError, LockTimeoutError, NameNotFoundError, NoDatabaseError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.programs import dump_program
from checkniner_backups.postgres.session import connect, server_major
from checkniner_backups.postgres.snapshot import exported_snapshot
from checkniner_backups.postgres.snapshot_token import read_token

from sandbox import guard
from sandbox.postgres import Cluster
from tests.sql_round import Round, manifest_of, round_in

LOCALE = "de_DE.UTF-8"


@pytest.fixture(scope="module")
def german() -> Iterator[Cluster]:
    """Its locale is made for it alone; PostgreSQL's German messages come with its package."""
    if not list(Path("/usr/share/locale/de/LC_MESSAGES").glob("postgres-*.mo")):
        pytest.skip("this machine's packages come without translations")
    folder = guard.make_folder("cn-loc", mode=0o755)
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", folder / LOCALE], check=False, capture_output=True
    )  # it warns with status 1
    assert (folder / LOCALE / "LC_CTYPE").exists(), made.stderr
    try:
        environment = {"LOCPATH": str(folder)}
        with Cluster(settings={"lc_messages": LOCALE}, environment=environment) as cluster:
            yield cluster
    finally:
        guard.remove_folder(folder)


@pytest.fixture
def round_(german: Cluster, tmp_path: Path) -> Iterator[Round]:
    with round_in(german, tmp_path) as made:
        made.database.execute("CREATE TABLE a (i integer)")
        yield made


def test_a_database_that_is_gone(round_: Round) -> None:
    dsn = parse_url(round_.database.url).to("nonesuch")
    with pytest.raises(NoDatabaseError, match="existiert nicht") as failed, connect(dsn):
        pass
    assert "not there" in failed.value.hint


def test_a_wrong_password_is_no_server_that_does_not_run(round_: Round) -> None:
    dsn = replace(parse_url(round_.database.url), password="wrong")
    with pytest.raises(DatabaseError, match="fehlgeschlagen") as failed, connect(dsn):
        pass
    assert not isinstance(failed.value, NoDatabaseError)
    assert "the server is there" in failed.value.hint
    with pytest.raises(DatabaseError, match="fehlgeschlagen") as failed:
        read_token(dsn)
    assert "the server is there" in failed.value.hint
    with pytest.raises(DatabaseError) as failed, connect(replace(dsn, port="1")):
        pass
    assert "is the server running" in failed.value.hint


def test_a_lock_that_pg_dump_waits_for(round_: Round, tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    with exported_snapshot(parse_url(round_.database.url), 1) as snapshot, round_.database.connect() as other:
        # Behind a migration that waits for our lock, whoever comes later waits as well.
        def migrate() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                other.execute("ALTER TABLE a ADD COLUMN j integer")

        waiting = threading.Thread(target=migrate)
        waiting.start()
        while not snapshot.waiting():
            pass
        try:
            with pytest.raises(LockTimeoutError, match=r"pg_dump could not lock .* wegen Zeitüberschreitung"):
                SqlReader(dump_program(server_major(snapshot.connection)), snapshot, folder / "checkniner.sql").read()
        finally:
            other.cancel()
            waiting.join()


def test_a_name_that_is_not_found_while_loading(round_: Round) -> None:
    for statement in (
        "CREATE FUNCTION low(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'",
        "CREATE FUNCTION f(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT low(t)'",
        "CREATE TABLE person (name text)",
        "CREATE INDEX ON person (f(name))",
    ):
        round_.database.execute(statement)
    archive = round_.save()
    assert manifest_of(archive).database["search_path"] == ["public"]
    assert round_.restore(archive).proven
    round_.database.execute("DROP INDEX person_f_idx")
    round_.database.execute("DROP FUNCTION low(text)")
    round_.database.execute("CREATE SCHEMA hidden")
    round_.database.execute(
        "CREATE FUNCTION hidden.low(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'"
    )
    with round_.database.connect(options="-c search_path=hidden,public") as connection:
        connection.execute("CREATE INDEX ON person (f(name))")
    archive = round_.save()
    with pytest.raises(NameNotFoundError) as failed:
        round_.load(archive, round_.create(archive))
    assert "FEHLER:  Funktion low(text) existiert nicht" in failed.value.message
    assert 'ALTER FUNCTION f SET search_path = "public"' in failed.value.hint
