"""What a refused archive tells an administrator to do is no trap, though its names stand in it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.properties import apply_properties
from checkniner_backups.postgres.quoting import identifier, literal
from checkniner_backups.restore.databases import Databases
from psycopg import sql

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database
from tests.unit.postgres.test_quoting import ODD

EVIL = 'x" SUPERUSER; --\x1b[2J'


def words(database: Database, **facts: Any) -> str:
    """Return why an archive with these facts is refused."""
    databases = Databases(parse_url(database.cluster.admin_url()), database.name)
    with pytest.raises(RestoreError) as caught:
        databases.create(database.user, facts, ())
    text = caught.value.message
    assert text.isprintable()
    return text


def owner(role: str) -> dict[str, object]:
    return {"role": role, "objects": 1, "example": "table \x1b[2J", "creates": False}


@pytest.mark.parametrize("text", ODD)
def test_postgresql_reads_what_was_meant(database: Database, text: str) -> None:
    with psycopg.connect(database.url) as connection:
        asked = f"SELECT {literal(text)} AS {identifier(text)}".encode()
        cursor = connection.execute(asked)
        assert cursor.fetchone() == (text,)
        assert cursor.description
        assert cursor.description[0].name == text


def test_a_role_that_is_missing(database: Database) -> None:
    text = words(database, roles=[EVIL])
    assert f"CREATE ROLE {identifier(EVIL)}" in text
    assert 'x" ' not in text
    text = words(database, roles=["pg_execute_everything"])
    assert "CREATE ROLE" not in text
    assert '"pg_execute_everything" is missing' in text


@pytest.mark.parametrize("power", ["CREATEROLE", "REPLICATION", "BYPASSRLS", "IN ROLE pg_execute_server_program"])
def test_no_power_is_to_be_given_to_the_application(database: Database, power: str) -> None:
    strong, member = f"{database.name}_strong", f'{database.name}_"member'
    run = database.cluster.execute
    run(sql.SQL("CREATE ROLE {} " + power).format(sql.Identifier(strong)))
    try:
        run(sql.SQL("CREATE ROLE {} IN ROLE {}").format(sql.Identifier(member), sql.Identifier(strong)))
        for role in ("postgres", "pg_execute_server_program", "pg_read_server_files", strong, member):
            text = words(database, owners=[owner(role)])
            assert identifier(role) in text
            assert "GRANT" not in text
            assert "OWNER TO" in text
        run(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(strong), sql.Identifier(member)))
        text = words(database, owners=[owner(member)])
        assert f"if it may act as that role, GRANT {identifier(member)} TO {identifier(database.user)}" in text
    finally:
        for role in (member, strong):
            run(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


LOADING = ["session_preload_libraries", "local_preload_libraries", "Session_Preload_Libraries", "dynamic_library_path"]


@pytest.mark.parametrize("name", LOADING)
def test_settings_that_load_code(cluster: Cluster, database: Database, name: str) -> None:
    # local_preload_libraries is anybody's, but not for another role.
    text = words(database, settings=[["postgres", f"{name}=evil"]])
    assert "GRANT" not in text
    assert "the archive names what every session would load" in text
    if not name.startswith("local"):
        text = words(database, settings=[["", f"{name}=evil"]])
        assert "GRANT" not in text
        assert "the archive names what every session would load" in text


def test_settings_are_quoted(cluster: Cluster, database: Database) -> None:
    name = "my.x TO PUBLIC; ALTER ROLE x SUPERUSER; --"
    text = words(database, settings=[["", f"{name}=1"]])
    assert 'GRANT SET ON PARAMETER "my"."x TO PUBLIC; ALTER ROLE x SUPERUSER; --" TO' in text
    assert "if you want what the archive says" in text
    text = words(database, settings=[[EVIL, "work_mem=1\x1b[2J"]], roles=[])
    assert f"of role {identifier(EVIL)}" in text


def test_settings_that_are_refused_when_they_are_put_back(database: Database) -> None:
    for name, words in (
        ("session_preload_libraries", "the archive names what every session would load"),
        ("log_statement", "if you want what the archive says"),
    ):
        with pytest.raises(RestoreError) as caught:
            apply_properties(parse_url(database.url), {"settings": [["", f"{name}=all\x1b"]]}, "live")
        assert words in caught.value.hint
        assert caught.value.hint.isprintable()
