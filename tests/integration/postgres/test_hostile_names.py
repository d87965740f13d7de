"""A name means PostgreSQL's own to an administrator, whatever others have made or set where the administrator works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from checkniner_backups.postgres import admin
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.privileges import let_own
from checkniner_backups.postgres.session import administer
from checkniner_backups.restore import databases as swap
from checkniner_backups.restore.databases import Databases
from psycopg import sql

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database, fresh_database

# What runs as a superuser makes its owner one.
BODY = """
LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user) THEN
        EXECUTE pg_catalog.format('ALTER ROLE %I SUPERUSER', {role});
    END IF;
    RETURN {result};
END $$
"""
PLANTED = (
    ("has_schema_privilege(name, text, text) RETURNS boolean", "false"),
    ("pg_has_role(name, name, text) RETURNS boolean", "true"),
    ("acldefault(text, oid) RETURNS aclitem[]", "pg_catalog.acldefault('d'::\"char\", $2)"),
    ("to_jsonb(pg_database) RETURNS jsonb", "pg_catalog.row_to_json($1)::jsonb"),
    ("equal(name, name) RETURNS boolean", "$1 OPERATOR(pg_catalog.=) $2"),
    ("equal(name, text) RETURNS boolean", "$1 OPERATOR(pg_catalog.=) $2"),
)


def plant(owner: Database, url: str, schema: str) -> None:
    """Given a database's URL, make there what would be run in the place of PostgreSQL's own."""
    with psycopg.connect(url, autocommit=True) as connection:
        if schema != "public":
            connection.execute(f"CREATE SCHEMA {schema}")
        for declared, result in PLANTED:
            body = BODY.format(role=sql.Literal(owner.user).as_string(), result=result)
            connection.execute(f"CREATE FUNCTION {schema}.{declared} {body}")
        for right in ("name", "text"):
            connection.execute(
                f"CREATE OPERATOR {schema}.= (FUNCTION = {schema}.equal, LEFTARG = name, RIGHTARG = {right})"
            )
        if schema != "public":
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")


def owned(role: str) -> dict[str, Any]:
    """Given a role, return facts that say that it owns something."""
    return {"owners": [{"role": role, "objects": 1, "example": "a table", "creates": False}]}


def is_superuser(database: Database) -> bool:
    query = "SELECT rolsuper FROM pg_roles WHERE rolname = %s"
    return bool(database.cluster.execute(query, (database.user,))[0][0])


@pytest.fixture
def maintenance(cluster: Cluster) -> Iterator[Database]:
    """A maintenance database in whose schema `public` others may create, as in every cluster from before 15."""
    with fresh_database(cluster) as made:
        cluster.execute("GRANT CREATE ON SCHEMA public TO PUBLIC", database=made.name)
        yield made


def test_the_maintenance_database(cluster: Cluster, database: Database, maintenance: Database) -> None:
    plant(database, cluster.url(maintenance.name, database.user, database.password), "public")
    databases = Databases(parse_url(maintenance.admin_url), database.name)
    new = databases.create(database.user, {}, ()).database
    databases.swap(new, {}, database.user)
    databases.undo()
    databases.drop("", 0)
    assert not is_superuser(database)


def set_path(database: Database, name: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} SET search_path = e, pg_catalog, public").format(sql.Identifier(name))
    database.execute(statement)


def test_a_database_whose_owner_sets_a_search_path(cluster: Cluster, database: Database) -> None:
    plant(database, database.url, "e")
    set_path(database, database.name)
    for url in (database.admin_url, f"{database.admin_url}?options=-c%20search_path%3De%2Cpg_catalog"):
        with administer(parse_url(url)) as connection:
            assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog,pg_temp",)
            let_own(connection, database.user, owned(database.user))
            assert admin.exists(connection, database.name)
    assert not is_superuser(database)


@pytest.mark.parametrize("step", ["create_extensions", "let_own"])
def test_the_owner_is_kept_out_until_the_administrator_has_left(
    cluster: Cluster, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """An application's process that looks for the new database all the time could plant something there."""
    tried = []

    def attack(real: Callable[..., Any]) -> Callable[..., Any]:
        def attacked(*arguments: Any) -> Any:
            query = "SELECT datname FROM pg_database WHERE datname LIKE %s"
            ((name,),) = database.execute(query, (f"{database.name}_restoring_%",))
            tried.append(name)
            with suppress(psycopg.Error):
                set_path(database, name)
                tried.append("has set its search path")
            with suppress(psycopg.Error):
                plant(database, cluster.url(name, database.user, database.password), "e")
                tried.append("is in it")
            return real(*arguments)

        return attacked

    place = admin if step == "create_extensions" else swap
    monkeypatch.setattr(place, step, attack(getattr(place, step)))
    databases = Databases(parse_url(cluster.admin_url()), database.name)
    new = databases.create(database.user, owned(database.user), ()).database
    assert not is_superuser(database)
    assert tried == [new]
    # In the end it is theirs, and open.
    query = "SELECT pg_get_userbyid(datdba), datconnlimit, datacl FROM pg_database WHERE datname = %s"
    assert cluster.execute(query, (new,)) == [(database.user, -1, None)]
    with psycopg.connect(cluster.url(new, database.user, database.password)) as connection:
        connection.execute("CREATE TABLE public.a (i integer)")


def test_who_may_create_databases_and_no_more(cluster: Cluster, database: Database) -> None:
    """An administrator who is no superuser gives the database away too."""
    role = f"{database.name}_creator"
    cluster.create_role(role, "secret", "CREATEDB")
    try:
        cluster.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(database.user), sql.Identifier(role)))
        databases = Databases(parse_url(cluster.url("postgres", role, "secret")), database.name)
        new = databases.create(database.user, owned(database.user), ()).database
        query = "SELECT pg_get_userbyid(datdba), datconnlimit FROM pg_database WHERE datname = %s"
        assert cluster.execute(query, (new,)) == [(database.user, -1)]
    finally:
        cluster.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
