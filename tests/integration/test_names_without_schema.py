"""Functions that name others without schema: dumped as `pg_dump` can, loaded, proven, in any search path."""

from __future__ import annotations

from checkniner_backups.backup.changes import Look
from checkniner_backups.postgres.digest import columns_of, digest_table
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.snapshot import plain_reader

from tests.looks import Looks, looks, must_ignore, must_see
from tests.sql_round import Round, saved_and_restored

__all__ = ["looks", "saved_and_restored"]

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


def test_a_change_in_such_a_table_is_seen_by_the_rows_alone(looks: Looks) -> None:
    database = looks.application.database
    for statement in (
        *FUNCTIONS,
        "CREATE INDEX ON checkouts_airstrip (public.f(name))",
        "CREATE STATISTICS s ON (public.f(name)), (id + 1) FROM checkouts_airstrip",
    ):
        database.execute(statement)
    assert not looks.look().changed
    looks.application.change_noise()
    must_ignore(looks, Look.ROWS)
    database.execute("UPDATE checkouts_airstrip SET name = 'Another' WHERE id = 1")
    must_see(looks, "checkouts_airstrip")
    assert "Another" in looks.sql
