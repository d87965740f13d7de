"""The role that reads old data: it reads all of them, and writes nothing, whatever it sets and whatever PUBLIC may."""

from __future__ import annotations

import psycopg
import pytest
from checkniner_backups.drill.peek import reader
from checkniner_backups.postgres.session import administer
from checkniner_backups.rehearsal.throwaway import throwaway
from checkniner_backups.system.accounts import unprivileged

PREPARED = """
    CREATE SCHEMA app AUTHORIZATION owner; GRANT ALL ON SCHEMA app TO PUBLIC; SET ROLE owner;
    CREATE TABLE app.item (n int); INSERT INTO app.item VALUES (1); GRANT ALL ON app.item TO PUBLIC;
    CREATE SEQUENCE app.number; GRANT ALL ON SEQUENCE app.number TO PUBLIC;
    ALTER TABLE app.item ENABLE ROW LEVEL SECURITY;
    CREATE FUNCTION app.add() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO app.item VALUES (2)';
"""
WRITES = ("INSERT INTO item VALUES (3)", "UPDATE item SET n = 3", "DELETE FROM item", "TRUNCATE item",
          "SELECT add()", "SELECT nextval('number')", "CREATE TABLE other (n int)", "DROP TABLE item",
          "CREATE TEMPORARY TABLE mine (n int)", "SET ROLE owner", "CREATE SCHEMA mine")  # fmt: skip


def test_the_reader_reads_and_has_no_right_to_write() -> None:
    with throwaway(unprivileged()) as server:
        server.create_role("owner", "secret")
        with administer(server.admin) as connection:
            connection.execute("CREATE DATABASE old OWNER owner")
            connection.execute("ALTER ROLE owner IN DATABASE old SET search_path = app")
        with administer(server.admin.to("old")) as connection:
            connection.execute(PREPARED)
        dsn = reader(server, server.dsn("old", "owner", "secret"))
        with psycopg.connect(dsn.url(), autocommit=True) as connection:
            assert connection.execute("SELECT n FROM item").fetchall() == [(1,)]
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute("CREATE TABLE other (n int)")
            connection.execute("SET default_transaction_read_only = off")
            for statement in WRITES:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
