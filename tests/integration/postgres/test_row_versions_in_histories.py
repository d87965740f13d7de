"""The row-version check beside the hash, in transactions of every form and in generated histories."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack

import psycopg
import pytest
from checkniner_backups.errors import DatabaseError

from tests.integration.postgres.test_row_versions import as_superuser, quiet, run, still, watch
from tests.plugins.postgres import Database
from tests.watching import Watch

__all__ = ["quiet", "still", "watch"]


def test_what_is_written_while_the_first_snapshot_is_read_is_seen(quiet: Database, watch: Watch) -> None:
    """Another count, or another oldest transaction, than that snapshot's would take the second state for the first."""
    watch.remember(lambda: run(quiet, "DELETE FROM thing WHERE id = 1", "INSERT INTO thing VALUES (99)"))
    assert watch.look() == {"other"}
    watch.remember(lambda: run(quiet, "DELETE FROM other WHERE id = 1"))
    assert watch.look() == {"thing"}


def test_transactions_astride_the_snapshot_are_seen_when_they_commit(quiet: Database, watch: Watch) -> None:
    with ExitStack() as stack:
        plain, nested, prepared = (stack.enter_context(quiet.connect()) for _ in range(3))
        for number, connection in enumerate((plain, nested, prepared), 1):
            connection.execute("SAVEPOINT a")
            connection.execute("DELETE FROM thing WHERE id = %s", [number])
            connection.execute("INSERT INTO thing VALUES (%s)", [100 + number])
            connection.execute("RELEASE a")
        prepared.execute(f"PREPARE TRANSACTION 'astride-{quiet.name}'")
        prepared.commit()
        for end in (plain.commit, nested.commit):
            watch.remember()
            assert watch.look() == {"thing", "other"}
            end()
            assert watch.look() == {"other"}
        run(quiet, "INSERT INTO other VALUES (99)")
        watch.remember()
        # Before the snapshot, and not before the transaction that is still prepared: that table is read each time.
        assert watch.look(remember=True) == {"thing"}
        assert watch.look(remember=True) == {"thing"}
        prepared.autocommit = True
        prepared.execute(f"COMMIT PREPARED 'astride-{quiet.name}'")
        assert watch.look(remember=True) == set()
        # Nothing holds the oldest transaction back any more, and what each look has found equal is remembered.
        assert watch.look(remember=True) == {"thing", "other"}


def test_locks_of_several_sessions_and_updates_under_them(quiet: Database, watch: Watch) -> None:
    with quiet.connect() as first, quiet.connect() as second:
        first.execute("SELECT * FROM thing FOR KEY SHARE")
        second.execute("SELECT * FROM thing FOR KEY SHARE")
        second.execute("UPDATE thing SET name = 'held' WHERE id = 4")
        assert watch.look() == {"thing", "other"}
        first.commit()
        second.commit()
    run(quiet, "VACUUM FREEZE thing")
    assert watch.look() == {"other"}


def test_rows_that_are_born_frozen(quiet: Database, watch: Watch) -> None:
    with quiet.connect() as connection:
        connection.execute("TRUNCATE thing")
        with connection.cursor().copy("COPY thing (id, name) FROM STDIN WITH (FREEZE)") as copy:
            for number in range(1, 31):
                copy.write_row((number, "frozen"))
    assert watch.look() == {"other"}


def test_values_that_lie_outside_of_the_row(quiet: Database) -> None:
    run(quiet, "CREATE TABLE wide (id int PRIMARY KEY, v text)", "ALTER TABLE wide ALTER v SET STORAGE EXTERNAL",
        "INSERT INTO wide SELECT n, repeat('x', 20000) FROM generate_series(1, 3) n")  # fmt: skip
    watch = Watch(quiet.url, "wide")
    watch.remember()
    run(quiet, "VACUUM FULL wide")
    assert watch.look() == {"wide"}
    run(quiet, "UPDATE wide SET v = repeat('x', 19999) || 'y' WHERE id = 2")
    assert watch.look() == set()


def test_rows_that_a_policy_hides_are_an_error(quiet: Database, watch: Watch) -> None:
    run(quiet, "CREATE POLICY part ON thing USING (id < 10)", "ALTER TABLE thing ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE thing FORCE ROW LEVEL SECURITY")  # fmt: skip
    with pytest.raises(DatabaseError, match="row-level security"):
        watch.look()


def test_an_index_that_cannot_be_planned_means_reading(quiet: Database) -> None:
    run(quiet, "CREATE FUNCTION one(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'",
        "CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT one($1) * 2'",
        "CREATE TABLE indexed (id int PRIMARY KEY)", "CREATE INDEX ON indexed (twice(id))",
        "INSERT INTO indexed VALUES (1)")  # fmt: skip
    watch = Watch(quiet.url, "indexed")
    watch.remember()
    assert watch.look() == set()


def test_what_a_subscription_applies_is_seen(quiet: Database, watch: Watch) -> None:
    origin, slot = f"{quiet.name}_origin", f"slot_{quiet.name}"
    quiet.cluster.create_database(origin, quiet.user)
    try:
        for statement in (
            "CREATE TABLE thing (id int PRIMARY KEY, name varchar(20))",
            "INSERT INTO thing SELECT n, 'thing ' || n FROM generate_series(1, 30) n",
            "CREATE PUBLICATION everything FOR ALL TABLES",
            f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')",
        ):
            quiet.cluster.execute(statement, database=origin)
        as_superuser(quiet, f"CREATE SUBSCRIPTION applied CONNECTION '{quiet.cluster.admin_url(origin)}'"
                            f" PUBLICATION everything WITH (create_slot = false, slot_name = '{slot}',"
                            " copy_data = false)")  # fmt: skip
        watch.remember()
        quiet.cluster.execute("UPDATE thing SET name = 'applied' WHERE id = 5", database=origin)
        end = time.monotonic() + 30
        while not quiet.execute("SELECT 1 FROM thing WHERE name = 'applied'"):
            assert time.monotonic() < end, quiet.cluster.log[-1500:]
            time.sleep(0.05)
        assert watch.look() == {"other"}
    finally:
        as_superuser(quiet, "DROP SUBSCRIPTION IF EXISTS applied")
        quiet.cluster.drop_database(origin)


OPERATIONS = (
    "INSERT INTO thing (id, name) VALUES ({new}, 'new')",
    "UPDATE thing SET amount = amount + 1 WHERE id = {old}",
    "UPDATE thing SET name = name WHERE id = {old}",
    "DELETE FROM thing WHERE id = {old}",
    "SELECT FROM thing WHERE id = {old} FOR KEY SHARE",
    "SELECT FROM thing WHERE id = {old} FOR UPDATE",
    "SAVEPOINT s",
    "ROLLBACK TO SAVEPOINT s",
    "RELEASE SAVEPOINT s",
    "COMMIT",
    "COMMIT",
    "ROLLBACK",
    "PREPARE TRANSACTION '{name}'",
)
ALONE = (
    "VACUUM FREEZE thing",
    "VACUUM FULL thing",
    "CLUSTER thing USING thing_pkey",
    "BEGIN; CREATE TEMPORARY TABLE kept AS SELECT * FROM thing; TRUNCATE thing; INSERT INTO thing SELECT * FROM kept;"
    " DROP TABLE kept; COMMIT",
    "ALTER TABLE thing DROP COLUMN tags, ADD COLUMN tags text[]",
    "BEGIN; ALTER TABLE thing RENAME TO x; ALTER TABLE other RENAME TO thing; ALTER TABLE x RENAME TO other; COMMIT",
    "UPDATE other SET amount = amount + 1 WHERE id = 3",
    "SELECT pg_current_xact_id()",
)


@pytest.mark.parametrize("seed", range(6))
def test_no_change_is_missed_in_a_generated_history(quiet: Database, watch: Watch, seed: int) -> None:
    """Three sessions in turn, some in long transactions. A row that another session holds is passed over."""
    chance = random.Random(seed)
    seen: Counter[bool] = Counter()
    done: Counter[str] = Counter()
    prepared: list[str] = []
    with ExitStack() as stack:
        sessions = [stack.enter_context(quiet.connect(autocommit=True)) for _ in range(3)]
        for session in sessions:
            session.execute("SET lock_timeout = 1")
        for step in range(120):
            kind = chance.random()
            if kind < 0.25:
                remember = chance.random() < 0.4
                try:
                    found = watch.look(remember=remember)
                except DatabaseError:
                    continue  # a session holds a table for itself
                seen.update(name in found for name in ("thing", "other"))
                continue
            if kind < 0.35:
                session, operation = sessions[2], chance.choice(ALONE)
                session.execute("ROLLBACK")
            elif kind < 0.4 and prepared:
                session, operation = sessions[2], f"{chance.choice(('COMMIT', 'ROLLBACK'))} PREPARED '{prepared[0]}'"
                session.execute("ROLLBACK")
            else:
                session, operation = chance.choice(sessions), chance.choice(OPERATIONS)
                if session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
                    session.execute("BEGIN")
            name = f"{quiet.name}-{step}"
            statement = operation.format(new=1000 + step, old=chance.randrange(1, 40), name=name)
            try:
                session.execute(psycopg.sql.SQL(statement))
            except psycopg.Error:
                session.execute("ROLLBACK")
                continue
            done[operation] += 1
            if operation.startswith("PREPARE"):
                prepared.append(name)
            elif " PREPARED " in operation:
                del prepared[0]
    assert seen[True] > 3, seen
    assert seen[False] > 3, seen
    assert len(done) > 12, done
