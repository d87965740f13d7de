"""A restore from SQL brings everything back: rows, owners, privileges, settings, extensions, tables of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from checkniner_backups.errors import RestoreError
from psycopg import sql

from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import Restorer, digest_of, names_of

BY_OWNER = [
    "CREATE SCHEMA more",
    "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    "CREATE EXTENSION citext",
    """CREATE TABLE more.things (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name citext COLLATE "C", moods mood[], price money,
        loud text GENERATED ALWAYS AS (upper(name::text)) STORED, at timestamptz, spent interval, raw bytea,
        many double precision, doc jsonb)""",
    """INSERT INTO more.things (name, moods, price, at, spent, raw, many, doc)
        SELECT 'n' || i, ARRAY['glad', 'sad']::mood[], i, '2026-03-29 01:59:59.123456+01'::timestamptz
        + i * '1 h'::interval, i * '1 day 2 h'::interval, decode(md5(i::text), 'hex'), i / 3.0, '{"a": [1, null]}'
        FROM generate_series(1, 300) i""",
    "CREATE TABLE no_key (a text, b integer)",
    r"INSERT INTO no_key VALUES ('x', 1), ('x', 1), (NULL, 2), (E'\\.\n\\! \t', 3), ('ä€', 4)",
    "CREATE TABLE measured (at date, value integer) PARTITION BY RANGE (at)",
    "CREATE TABLE measured_old PARTITION OF measured FOR VALUES FROM (MINVALUE) TO ('2026-01-01')",
    "CREATE TABLE measured_new PARTITION OF measured DEFAULT",
    "INSERT INTO measured SELECT '2025-12-01'::date + i, i FROM generate_series(1, 100) i",
    "CREATE VIEW glad AS SELECT name FROM more.things WHERE 'glad' = ANY (moods)",
    "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM more.things",
    "CREATE FUNCTION more.twice(i integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i'",
    "CREATE INDEX ON no_key (more.twice(b))",
    "CREATE SEQUENCE more.numbers",
    "SELECT setval('more.numbers', 4711)",
    "SELECT lo_from_bytea(0, 'a large object')",
    'CREATE TABLE "Odd ""name""; DROP" ("Select" integer PRIMARY KEY)',
    'INSERT INTO "Odd ""name""; DROP" VALUES (7)',
]


@dataclass
class World:
    restorer: Restorer
    server: Server
    reader: str


@pytest.fixture
def world(server: Server, application: RunningApplication, keys: Keys) -> Iterator[World]:
    """A database with something of everything, and an archive of it on the server."""
    database = application.database
    cluster, reader = database.cluster, f"{database.name}_reader"
    cluster.create_role(reader, "reads only")
    for statement in BY_OWNER:
        database.execute(statement)
    names = {"r": sql.Identifier(reader), "d": sql.Identifier(database.name), "u": sql.Identifier(database.user)}
    for text in (
        "GRANT SELECT ON no_key TO {r}", "GRANT USAGE ON SCHEMA more TO {r}",
        "GRANT SELECT (name) ON more.things TO {r}",
        "REVOKE CONNECT ON DATABASE {d} FROM PUBLIC", "GRANT CONNECT, TEMPORARY ON DATABASE {d} TO {r}",
        "ALTER DATABASE {d} SET search_path = public, more", "ALTER DATABASE {d} SET work_mem = '5MB'",
        "ALTER ROLE {u} IN DATABASE {d} SET statement_timeout = '1min'", "ALTER DATABASE {d} CONNECTION LIMIT 40",
    ):  # fmt: skip
        database.execute(sql.SQL(text).format(**names))
    # An administrator's work, in a schema of its own.
    admin = ["CREATE SCHEMA tools AUTHORIZATION {u}", "CREATE EXTENSION file_fdw SCHEMA tools"]
    for text in admin:
        cluster.execute(sql.SQL(text).format(**names), database=database.name)
    server.tick()
    restorer = Restorer(server, database, keys.keyring)
    restorer.fetch()
    yield World(restorer, server, reader)
    for name in names_of(database):
        cluster.execute(sql.SQL("DROP OWNED BY {}").format(names["r"]), database=name)
    cluster.execute(sql.SQL("DROP ROLE {}").format(names["r"]))


FACTS = {
    "database": "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,"
    " ARRAY(SELECT a::text FROM unnest(datacl) a ORDER BY 1) FROM pg_database WHERE datname = current_database()",
    "settings": "SELECT coalesce(setrole::regrole::text, ''), unnest(setconfig) FROM pg_db_role_setting s JOIN"
    " pg_database d ON d.oid = setdatabase WHERE datname = current_database() ORDER BY 1, 2",
    "extensions": "SELECT extname, extversion, extnamespace::regnamespace::text FROM pg_extension ORDER BY 1",
    "relations": "SELECT c.oid::regclass::text, relkind, pg_get_userbyid(relowner), ARRAY(SELECT a::text FROM"
    " unnest(relacl) a ORDER BY 1) FROM pg_class c WHERE relnamespace::regnamespace::text IN ('public', 'more')"
    " ORDER BY 1",
    "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attidentity, attgenerated,"
    " attacl::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND NOT attisdropped AND"
    " relnamespace::regnamespace::text IN ('public', 'more') ORDER BY 1, 2",
    "sequences": "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2",
    "functions": "SELECT proname, prosrc, pg_get_userbyid(proowner) FROM pg_proc WHERE"
    " pronamespace::regnamespace::text = 'more' ORDER BY 1",
    "large objects": "SELECT m.oid, pg_get_userbyid(lomowner), convert_from(lo_get(m.oid), 'UTF8') FROM"
    " pg_largeobject_metadata m ORDER BY 1",
    "schemas": "SELECT nspname, pg_get_userbyid(nspowner), nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_'"
    " ORDER BY 1",
}


def facts_of(world: World, name: str) -> dict[str, Any]:
    cluster = world.restorer.database.cluster
    return {what: cluster.execute(query, database=name) for what, query in FACTS.items()}


def refusals(restorer: Restorer) -> None:
    """What this server lacks is told before anything is made."""
    before = names_of(restorer.database)
    with pytest.raises(RestoreError, match=r"only a superuser may create: file_fdw\nHINT: .*allowed_extensions"):
        restorer.create()
    facts = restorer.metadata()
    facts["roles"] = [*facts["roles"], "nobody_here"]
    facts["extensions"] = [*facts["extensions"], {"name": "nonesuch", "trusted": True, "schema": "public"}]
    facts["server_major"] = 99
    words = r'PostgreSQL 99.*older; role "nobody_here" is missing.*; extension nonesuch is not installed'
    with pytest.raises(RestoreError, match=words):
        restorer.databases.create(restorer.database.user, facts, ["file_fdw"])
    assert names_of(restorer.database) == before


def test_everything_comes_back(world: World) -> None:
    restorer, live = world.restorer, world.restorer.database.name
    before, digests = facts_of(world, live), digest_of(restorer.database)
    assert len(before["large objects"]) == 1
    restorer.database.execute('DROP TABLE "Odd ""name""; DROP", checkouts_checkout, no_key')
    refusals(restorer)
    new = restorer.create("file_fdw")
    loaded = restorer.load(new)
    assert loaded.get("proven"), loaded
    assert f"proven: {len(digests) - 1} tables" in loaded["words"]  # a materialised view is no table
    swapped = restorer.swap(new)
    after = facts_of(world, live)
    for what, rows in before.items():
        assert after[what] == rows, what
    assert digest_of(restorer.database) == digests
    assert "no_key" not in " ".join(digest_of(restorer.database, swapped.previous))
    restorer.database.execute("INSERT INTO more.things (name) VALUES ('after')")
    assert restorer.database.execute("SELECT count(*) FROM no_key")[0] == (5,)
