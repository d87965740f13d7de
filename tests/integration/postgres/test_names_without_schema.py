"""Functions that name others without schema: dumped as `pg_dump` can, loaded, proven, in any search path."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.errors import NameNotFoundError, RestoreError
from checkniner_backups.postgres.digest import columns_of, digest_table
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.load import fits_one_transaction
from checkniner_backups.postgres.programs import client_program
from checkniner_backups.postgres.session import connect
from checkniner_backups.postgres.snapshot import plain_reader
from checkniner_backups.verify.database import verify_sql

from tests.change_checks import ChangeChecks, checks, must_ignore, must_see
from tests.sql_round import Round, manifest_of, saved_and_restored

__all__ = ["checks", "saved_and_restored"]

PERSONS = [
    "CREATE TABLE shop_person (id integer PRIMARY KEY, name text)",
    "INSERT INTO shop_person VALUES (2, 'Zoë'), (1, 'Änne')",
]
FUNCTIONS = [
    "CREATE FUNCTION public.low(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'",
    "CREATE FUNCTION public.f(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT low(t)'",
]


def digest_of(round_: Round) -> str:
    with plain_reader(parse_url(round_.database.url)) as (connection, tables):
        (table,) = (table for table in tables if table.name == "shop_person")
        found = digest_table(connection, table, columns_of(connection, [table])[table.oid])
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog",)
        return found.sha256


def test_an_index_does_not_change_the_digest_of_its_table(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    for statement in (*PERSONS, *FUNCTIONS):
        database.execute(statement)
    before = digest_of(saved_and_restored)
    for statement in (
        "CREATE INDEX ON shop_person (public.f(name))",
        "CREATE INDEX ON shop_person (id) WHERE public.f(name) <> 'x'",
        "CREATE STATISTICS s ON (public.f(name)), (id + 1) FROM shop_person",
    ):
        database.execute(statement)
        assert digest_of(saved_and_restored) == before
    # In a schema that is in nobody's search path: the function is found, what it names is not.
    database.execute("CREATE SCHEMA hidden")
    database.execute("ALTER FUNCTION low(text) SET SCHEMA hidden")
    assert digest_of(saved_and_restored) == before


def test_a_change_in_such_a_table_is_seen_by_the_rows_alone(checks: ChangeChecks) -> None:
    database = checks.application.database
    for statement in (
        *FUNCTIONS,
        "CREATE INDEX ON checkouts_airstrip (public.f(name))",
        "CREATE STATISTICS s ON (public.f(name)), (id + 1) FROM checkouts_airstrip",
    ):
        database.execute(statement)
    assert not checks.check().changed
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.ROWS)
    database.execute("UPDATE checkouts_airstrip SET name = 'Another' WHERE id = 1")
    must_see(checks, "checkouts_airstrip")
    assert "Another" in checks.sql


# What names something without its schema, and where PostgreSQL meets it while it loads.
KINDS = {
    "an index": [*PERSONS, *FUNCTIONS, "CREATE INDEX ON shop_person (public.f(name))"],
    "a stored column": [
        "CREATE FUNCTION public.plain(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
        " $$BEGIN RETURN translate(t, 'Ä', 'A'); END$$",
        "CREATE FUNCTION public.slugify(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
        " $$BEGIN RETURN lower(plain(t)); END$$",
        *PERSONS,
        "ALTER TABLE shop_person ADD slug text GENERATED ALWAYS AS (public.slugify(name)) STORED",
    ],
    "a check": [
        "CREATE TABLE allowed (name text)",
        "INSERT INTO allowed VALUES ('Änne'), ('Zoë')",
        "CREATE FUNCTION public.is_allowed(t text) RETURNS boolean LANGUAGE plpgsql AS"
        " $$BEGIN RETURN t IN (SELECT name FROM allowed); END$$",
        *PERSONS,
        "ALTER TABLE shop_person ADD CHECK (public.is_allowed(name))",
    ],
    "a materialised view": [
        *PERSONS,
        *FUNCTIONS,
        "CREATE MATERIALIZED VIEW lower_names AS SELECT public.f(name) AS name FROM shop_person",
    ],
    "another schema": [
        "CREATE SCHEMA shop",
        "CREATE FUNCTION shop.low(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)'",
        "CREATE FUNCTION shop.f(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT low(t)'",
        *PERSONS,
        "CREATE INDEX ON shop_person (shop.f(name))",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_names_something_without_its_schema_is_restored(saved_and_restored: Round, kind: str) -> None:
    database = saved_and_restored.database
    # Large objects stand in the dump between a BEGIN and a COMMIT of its own, before what fails.
    database.execute(f"ALTER DATABASE {database.name} SET search_path = shop, public")
    for statement in ("SELECT lo_from_bytea(4711, 'one')", "SELECT lo_from_bytea(4712, 'two')", *KINDS[kind]):
        database.execute(statement)
    columns = "SELECT * FROM shop_person ORDER BY id"
    before = database.execute(columns)
    archive = saved_and_restored.save()
    assert manifest_of(archive).database["search_path"] == (["shop"] if kind == "another schema" else []) + ["public"]
    proof = saved_and_restored.restore(archive)
    assert proof.proven
    assert 'loaded with the search path "' in proof.summary
    assert database.execute(columns) == before
    assert database.execute("SELECT count(*) FROM pg_largeobject_metadata") == [(2,)]


def test_an_empty_search_path_is_the_first_choice(saved_and_restored: Round) -> None:
    """With the application's path, the view would call what hides the built-in function."""
    database = saved_and_restored.database
    for statement in (*PERSONS, "CREATE MATERIALIZED VIEW lower_names AS SELECT lower(name) FROM shop_person"):
        database.execute(statement)
    proof = saved_and_restored.restore(saved_and_restored.save())
    assert proof.summary.startswith("proven: 1 tables, 2 rows")
    assert "search path" not in proof.summary


def test_what_is_found_in_no_search_path_is_told_with_the_statement_that_mends_it(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    for statement in (
        "CREATE SCHEMA hidden",
        "SET search_path = hidden, public",
        "CREATE FUNCTION hidden.plain(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN t; END$$",
        "CREATE FUNCTION public.slugify(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
        " $$BEGIN RETURN plain(t); END$$",
        *PERSONS,
    ):
        database.execute(statement)
    with database.connect(options="-c search_path=hidden,public") as connection:
        connection.execute("ALTER TABLE shop_person ADD slug text GENERATED ALWAYS AS (public.slugify(name)) STORED")
    archive = saved_and_restored.save()
    name = saved_and_restored.create(archive)
    with pytest.raises(NameNotFoundError) as failed:
        saved_and_restored.load(archive, name)
    assert 'ALTER FUNCTION slugify(text) SET search_path = "public"' in failed.value.hint
    # And that very line mends it.
    database.execute("ALTER FUNCTION public.slugify(text) SET search_path = hidden, public")
    assert saved_and_restored.restore(saved_and_restored.save()).proven


def test_a_load_of_more_than_one_transaction_can_lock_is_not_made_in_one(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    with connect(parse_url(database.url)) as connection:
        assert fits_one_transaction(connection, 100, 100)
        assert not fits_one_transaction(connection, 100_000, 0)
        assert not fits_one_transaction(connection, 1, 100_000)


def test_the_documented_sed_does_the_same_by_hand(saved_and_restored: Round, tmp_path: Path) -> None:
    database = saved_and_restored.database
    for statement in KINDS["an index"]:
        database.execute(statement)
    archive = saved_and_restored.save()
    folder = tmp_path / "restored"
    folder.mkdir()
    (member,) = (tmp_path / "dataset1").glob("*.sql.gz")
    (folder / "checkniner.sql").write_bytes(gzip.decompress(member.read_bytes()))
    name = saved_and_restored.create(archive)
    dsn = parse_url(database.url).to(name)

    def load() -> subprocess.CompletedProcess[str]:
        command = [client_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f"]
        argv = [*command, folder / "checkniner.sql"]
        return subprocess.run(argv, env=dsn.environment(), capture_output=True, text=True, check=False)

    assert "does not exist" in load().stderr
    page = Path(__file__).parents[3] / "docs" / "restore-by-hand.md"
    (line,) = (line for line in page.read_text().splitlines() if line.startswith("sed "))
    subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, env={"PATH": os.defpath}, check=True)
    done = load()
    assert done.returncode == 0, done.stderr
    assert verify_sql(dsn, manifest_of(archive)).proven


def test_nobody_else_is_in_a_database_that_is_loaded_with_a_search_path(saved_and_restored: Round) -> None:
    """What they made there could be called by the owner."""
    database, other = saved_and_restored.database, f"{saved_and_restored.database.name}_other"
    for statement in KINDS["an index"]:
        database.execute(statement)
    archive = saved_and_restored.save()
    database.cluster.create_role(other, "other")
    try:
        name = saved_and_restored.create(archive)
        url = database.cluster.url(name, other, "other")
        with psycopg.connect(url), pytest.raises(RestoreError, match=f"{other} connected to {name}"):
            saved_and_restored.load(archive, name)
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)
        assert saved_and_restored.load(archive, name).proven
        psycopg.connect(url).close()  # PUBLIC's right is the archive's
    finally:
        database.cluster.execute(f"DROP ROLE {other}")
