"""A table that is said to hold the versions of before has the digest of before: one test for each condition.

Statistics are off here: the hint that they give must not be what finds a change. So is autovacuum, whose transactions
hold the oldest one back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from checkniner_backups.postgres import row_versions
from checkniner_backups.postgres.snapshot import Table
from psycopg import sql

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database, fresh_database
from tests.watching import Watch

SCHEMA = """
CREATE TABLE thing (id int PRIMARY KEY, name varchar(20), amount numeric(9, 2), seen timestamp, tags text[]);
INSERT INTO thing SELECT n, 'thing ' || n, n, '2026-01-01', ARRAY['a', n::text] FROM generate_series(1, 30) n;
CREATE TABLE other (id int PRIMARY KEY, name varchar(20), amount numeric(9, 2), seen timestamp, tags text[]);
INSERT INTO other SELECT n, 'other ' || n, n, '2026-01-01', NULL FROM generate_series(1, 30) n;
"""


def run(database: Database, *statements: str) -> None:
    """Run statements, each committed at once."""
    with database.connect(autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement))


def as_superuser(database: Database, statement: str) -> None:
    """Run a statement as the superuser."""
    database.cluster.execute(statement, database=database.name)


@pytest.fixture(scope="module")
def still() -> Iterator[Cluster]:
    """A cluster in which nothing happens by itself."""
    with Cluster(settings={"autovacuum": "off", "track_counts": "off", "wal_level": "logical"}) as cluster:
        yield cluster


@pytest.fixture
def quiet(still: Cluster) -> Iterator[Database]:
    """A database with two tables."""
    with fresh_database(still) as database:
        run(database, SCHEMA)
        yield database
        for (name,) in still.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", [database.name]):
            as_superuser(database, f"ROLLBACK PREPARED '{name}'")


@pytest.fixture
def watch(quiet: Database) -> Watch:
    """A watch that has remembered both tables."""
    made = Watch(quiet.url, "thing", "other")
    made.remember()
    assert made.look() == {"thing", "other"}
    return made


@pytest.mark.parametrize(
    "statements",
    [
        ["INSERT INTO noise DEFAULT VALUES"],
        ["BEGIN; UPDATE thing SET amount = 7; ROLLBACK"],
        ["BEGIN; INSERT INTO thing VALUES (99); SAVEPOINT a; DELETE FROM thing; ROLLBACK TO a; ROLLBACK"],
        ["SELECT * FROM thing FOR UPDATE", "SELECT * FROM thing FOR KEY SHARE"],
        ["VACUUM FREEZE thing"],
        ["VACUUM FULL thing"],
        ["VACUUM FREEZE thing", "VACUUM FULL thing", "CLUSTER thing USING thing_pkey"],
        ["ANALYZE", "REINDEX TABLE thing", "CREATE INDEX ON thing (name)"],
        ["ALTER TABLE thing ALTER COLUMN name SET STATISTICS 50", "ALTER TABLE thing SET (fillfactor = 50)"],
    ],
)
def test_what_makes_no_version_needs_no_reading(quiet: Database, watch: Watch, statements: list[str]) -> None:
    run(quiet, "CREATE TABLE noise (id serial PRIMARY KEY)", *statements)
    assert watch.look() == {"thing", "other"}


@pytest.mark.parametrize(
    "statements",
    [
        ["UPDATE thing SET amount = 7 WHERE id = 3"],
        ["UPDATE thing SET amount = amount WHERE id = 3"],
        ["DELETE FROM thing WHERE id = 3"],
        ["DELETE FROM thing WHERE id = 3", "INSERT INTO thing VALUES (99, 'new')"],
        ["BEGIN; SAVEPOINT a; INSERT INTO thing VALUES (99); RELEASE a; DELETE FROM thing WHERE id = 1; COMMIT"],
        ["BEGIN; CREATE TEMPORARY TABLE kept AS SELECT * FROM thing; TRUNCATE thing;"
         " INSERT INTO thing SELECT id, upper(name), amount, seen, tags FROM kept; COMMIT"],
        ["UPDATE thing SET name = 'x' WHERE id = 3", "VACUUM FREEZE thing", "VACUUM FULL thing"],
        ["UPDATE thing SET name = 'x'", "VACUUM FREEZE thing", "CLUSTER thing USING thing_pkey"],
        ["ALTER TABLE thing ALTER COLUMN amount TYPE int USING amount + 1"],
        ["ALTER TABLE thing ALTER COLUMN amount TYPE numeric(9, 2) USING amount + 1"],
        # A rewrite is a version of its own; here are those without.
        ["ALTER TABLE thing DROP COLUMN name", "ALTER TABLE thing ADD COLUMN name varchar(20)"],
        ["ALTER TABLE thing DROP COLUMN tags", "ALTER TABLE thing ADD COLUMN tags text[]"],
        ["ALTER TABLE thing ADD COLUMN extra int DEFAULT 7"],
        ["ALTER TABLE thing RENAME COLUMN name TO label"],
        ["SET TimeZone = 'UTC'; ALTER TABLE thing ALTER COLUMN seen TYPE timestamptz"],
        ["ALTER TABLE thing ALTER COLUMN name TYPE varchar(30)"],
        ["DROP TABLE thing", "ALTER TABLE other RENAME TO thing"],
    ],
)  # fmt: skip
def test_what_makes_versions_or_another_shape_is_read(quiet: Database, watch: Watch, statements: list[str]) -> None:
    run(quiet, *statements)
    assert "thing" not in watch.look()


def test_names_of_columns_that_change_places_are_seen(quiet: Database) -> None:
    run(quiet, "CREATE TABLE pair (id int PRIMARY KEY, a int, b int)", "INSERT INTO pair VALUES (1, 2, 3)")
    watch = Watch(quiet.url, "pair")
    watch.remember()
    run(quiet, "ALTER TABLE pair RENAME a TO c", "ALTER TABLE pair RENAME b TO a", "ALTER TABLE pair RENAME c TO b")
    assert watch.look() == set()


def test_the_last_column_with_its_values_lost_is_seen(quiet: Database) -> None:
    """The column list is the same but for the number of a column."""
    run(quiet, "CREATE TABLE last (id int PRIMARY KEY, a int)", "INSERT INTO last VALUES (1, 2)")
    watch = Watch(quiet.url, "last")
    watch.remember()
    run(quiet, "ALTER TABLE last DROP COLUMN a", "ALTER TABLE last ADD COLUMN a int")
    assert watch.look() == set()


def test_another_primary_key_is_another_order(quiet: Database) -> None:
    run(quiet, "CREATE TABLE ordered (a int NOT NULL, b int NOT NULL, CONSTRAINT k PRIMARY KEY (a))",
        "INSERT INTO ordered VALUES (1, 2), (2, 1)")  # fmt: skip
    watch = Watch(quiet.url, "ordered")
    watch.remember()
    assert watch.look() == {"ordered"}
    run(quiet, "ALTER TABLE ordered DROP CONSTRAINT k, ADD PRIMARY KEY (b)")
    assert watch.look() == set()


def test_a_value_for_older_rows_is_part_of_the_shape(quiet: Database, watch: Watch) -> None:
    """VACUUM FULL writes the value into the rows: the catalogue says something else then, which is not gone into."""
    run(quiet, "ALTER TABLE thing ADD COLUMN extra int DEFAULT 7")
    watch.remember()
    assert "thing" in watch.look()
    run(quiet, "ALTER TABLE thing ALTER COLUMN extra SET DEFAULT 8")
    assert "thing" in watch.look()
    run(quiet, "VACUUM FULL thing")
    assert "thing" not in watch.look()


def test_tables_that_change_names_or_places_are_read(quiet: Database, watch: Watch) -> None:
    run(quiet, "BEGIN; ALTER TABLE thing RENAME TO x; ALTER TABLE other RENAME TO thing;"
        " ALTER TABLE x RENAME TO other; COMMIT")  # fmt: skip
    assert watch.look() == set()

    run(quiet, "CREATE TABLE log (id int, v int) PARTITION BY RANGE (id)")
    for part in ("first", "second"):
        run(quiet, f"CREATE TABLE log_{part} (id int, v int)", f"INSERT INTO log_{part} SELECT n, {len(part)}"
            " FROM generate_series(1, 9) n")  # fmt: skip
    run(quiet, "ALTER TABLE log ATTACH PARTITION log_first FOR VALUES FROM (1) TO (10)")
    watch = Watch(quiet.url, "log")
    watch.remember()
    assert watch.look() == {"log_first"}
    run(quiet, "BEGIN; ALTER TABLE log DETACH PARTITION log_first; ALTER TABLE log_first RENAME TO old;"
        " ALTER TABLE log_second RENAME TO log_first;"
        " ALTER TABLE log ATTACH PARTITION log_first FOR VALUES FROM (1) TO (10); COMMIT")  # fmt: skip
    assert watch.look() == set()


def test_a_childs_rows_are_the_childs(quiet: Database) -> None:
    run(quiet, "CREATE TABLE child () INHERITS (thing)", "INSERT INTO child (id) VALUES (1), (2)")
    watch = Watch(quiet.url, "thing")
    watch.remember()
    assert watch.look() == {"thing", "child"}
    run(quiet, "UPDATE child SET id = 9 WHERE id = 2")
    assert watch.look() == {"thing"}


@pytest.mark.parametrize(
    ("definition", "value", "change"),
    [
        ("feeling", "'sad'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
        ("feeling[]", "'{sad}'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
        ("felt", "'sad'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
        ("felt[]", "'{sad}'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
        ("many", "'{sad}'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
        ("size", "'(1,2)'", "ALTER TYPE size DROP ATTRIBUTE b"),
        ("regclass", "'target'::regclass", "DROP TABLE target"),
        ("moods", "'[sad,sad]'", "ALTER TYPE feeling RENAME VALUE 'sad' TO 'blue'"),
    ],
)
def test_a_type_whose_text_is_elsewhere_is_read(quiet: Database, definition: str, value: str, change: str) -> None:
    run(quiet, "CREATE TYPE feeling AS ENUM ('sad', 'happy')", "CREATE DOMAIN felt AS feeling",
        "CREATE DOMAIN many AS feeling[]", "CREATE TYPE size AS (a int, b int)", "CREATE TABLE target ()",
        "CREATE TYPE moods AS RANGE (SUBTYPE = feeling)",
        f"CREATE TABLE odd (id int PRIMARY KEY, v {definition})", f"INSERT INTO odd VALUES (1, {value})")  # fmt: skip
    watch = Watch(quiet.url, "odd")
    watch.remember()
    before = watch.last
    run(quiet, change)
    assert "odd" not in watch.look()
    watch.remember()
    assert before
    assert watch.last
    assert before.fingerprint.tables != watch.last.fingerprint.tables, "this is no change of the text"


def test_domains_and_arrays_of_plain_types_need_no_reading(quiet: Database) -> None:
    run(quiet, "CREATE DOMAIN short AS varchar(9)[] CHECK (VALUE IS NOT NULL)",
        "CREATE TABLE plain (id int PRIMARY KEY, v short, w short[], j jsonb, u uuid)",
        "INSERT INTO plain VALUES (1, '{a}', NULL, '{}', NULL)")  # fmt: skip
    watch = Watch(quiet.url, "plain")
    watch.remember()
    assert watch.look() == {"plain"}


def test_a_virtual_column_or_another_storage_is_read(quiet: Database) -> None:
    run(quiet, "CREATE TABLE made (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)",
        "INSERT INTO made VALUES (1, 2)")  # fmt: skip
    as_superuser(quiet, "CREATE ACCESS METHOD other_heap TYPE TABLE HANDLER heap_tableam_handler")
    as_superuser(quiet, "CREATE TABLE stored (id int PRIMARY KEY) USING other_heap")
    as_superuser(quiet, f"ALTER TABLE stored OWNER TO {quiet.user}")
    watch = Watch(quiet.url, "made", "stored")
    watch.remember()
    assert watch.look() == {"made"}
    # PostgreSQL 18 has such columns; an older server is made to believe in one, and reads the column as it always did.
    with psycopg.connect(quiet.admin_url, autocommit=True) as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(
            "UPDATE pg_attribute SET attgenerated = 'v' WHERE attrelid = 'made'::regclass AND attname = 'a'"
        )
    watch.remember()
    assert watch.look() == set()


def test_where_statistics_tell_of_writes_nothing_is_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting would be in vain there, and cost what reading does in part."""
    run(database, SCHEMA)
    written = "SELECT pg_stat_get_tuples_updated('thing'::regclass) + pg_stat_get_tuples_inserted('other'::regclass)"

    def wait_until_written(count: int) -> None:
        end = time.monotonic() + 30
        while database.execute(written)[0][0] != count:
            assert time.monotonic() < end
            time.sleep(0.05)

    wait_until_written(30)
    counted: list[str] = []
    original = row_versions._versions

    def spy(connection: Any, table: Table, oldest: int) -> Any:
        counted.append(table.name)
        return original(connection, table, oldest)

    monkeypatch.setattr(row_versions, "_versions", spy)
    watch = Watch(database.url, "thing", "other")
    watch.remember()
    run(database, "UPDATE thing SET amount = 1 WHERE id = 1")
    wait_until_written(31)
    assert "thing" not in watch.look()
    assert counted == ["other"]
