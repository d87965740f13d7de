"""Options in the database URL hold for every reader alike."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.programs import client_program, dump_program
from checkniner_backups.postgres.session import connect, fetch_one
from checkniner_backups.postgres.snapshot import exported_snapshot
from checkniner_backups.postgres.snapshot_token import read_token

import tests.plugins.application as plugin
from sandbox.owner import Account
from tests.change_checks import ChangeChecks
from tests.other_settings import set_over
from tests.owner_side import as_engine
from tests.plugins.postgres import Database

RunningApplication = plugin.RunningApplication

LOAD = """
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.load import load_sql
load_sql(parse_url(given["url"]), [given["sql"].encode()])
"""
SQL = """
CREATE TABLE place AS SELECT current_setting('statement_timeout') AS statement, current_setting('app.word') AS word;
\n-- PostgreSQL database dump complete\n
"""


def asked(url: str, query: str) -> str:
    """Return psql's answer over this URL."""
    command = [client_program("psql"), "-X", "-A", "-t", "-w", "-c", query]
    done = subprocess.run(command, env=parse_url(url).environment(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "option", ["connect_timeout=5", "application_name=web", "pool=true", "conn_max_age=60", "isolation_level=4"]
)
def test_an_ordinary_option_is_no_obstacle(database: Database, option: str) -> None:
    dsn = parse_url(f"{database.url}?{option}")
    with connect(dsn) as connection:
        assert fetch_one(connection, "SHOW application_name") == ("checkniner-backups",)
    with exported_snapshot(dsn, 1.0) as snapshot:
        assert snapshot.token == read_token(dsn) != ""


def test_psql_goes_where_psycopg_goes(database: Database) -> None:
    url = database.url.replace("127.0.0.1", "no-such-host.invalid") + "?hostaddr=127.0.0.1&target_session_attrs=primary"
    with connect(parse_url(url)) as connection:
        assert fetch_one(connection, "SELECT current_database()") == (database.name,)
    assert asked(url, "SELECT current_database()") == database.name
    assert asked(url, "SHOW application_name") == "checkniner-backups"


def test_a_password_file_named_in_the_url_is_read(database: Database, tmp_path: Path) -> None:
    cluster = database.cluster
    passwords = tmp_path / "passwords"
    passwords.write_text(f"127.0.0.1:{cluster.port}:{database.name}:{database.user}:{database.password}\n")
    passwords.chmod(0o600)
    url = f"postgres://{database.user}@127.0.0.1:{cluster.port}/{database.name}?passfile={passwords}"
    with connect(parse_url(url)) as connection:
        assert fetch_one(connection, "SELECT 1") == (1,)
    assert asked(url, "SELECT 1") == "1"


def test_tables_are_found_by_the_search_path_of_the_url(database: Database) -> None:
    database.execute("CREATE SCHEMA app")
    for schema in ("app", "public"):
        database.cluster.execute(f"CREATE TABLE {schema}.thing ()", database=database.name)
        database.cluster.execute(f'ALTER TABLE {schema}.thing OWNER TO "{database.user}"', database=database.name)
    url = f"{database.url}?options=-c%20search_path%3Dapp"
    with exported_snapshot(parse_url(url), 1.0) as snapshot:
        found = snapshot.find("thing")
        assert found
        assert found.schema == "app"
        # What we ask ourselves is not led astray by it.
        assert fetch_one(snapshot.connection, "SHOW search_path") == ("pg_catalog",)
    assert asked(url, "SHOW search_path") == "app"
    dumped = subprocess.run(
        [dump_program(13)], env=parse_url(url).environment(), capture_output=True, text=True, check=True
    ).stdout
    assert "CREATE TABLE app.thing" in dumped
    assert "CREATE TABLE public.thing" in dumped


def test_a_load_adds_its_options_to_those_of_the_url(database: Database, owner: Account, engine: Path) -> None:
    database.cluster.execute(f'GRANT CREATE ON SCHEMA public TO "{database.user}"', database=database.name)
    url = f"{database.url}?options=-c%20app.word%3Dours%20-c%20statement_timeout%3D1234"
    assert as_engine(owner, engine, LOAD, url=url, sql=SQL) is None
    assert database.execute("SELECT * FROM place") == [("0", "ours")]


def test_a_tick_with_ordinary_options(application: RunningApplication, tmp_path: Path) -> None:
    options = "connect_timeout=5&application_name=web&keepalives_idle=30&options=-c%20search_path%3Dpublic"
    application.installed.environment["DATABASE_URL"] = f"{application.database.url}?{options}"
    application.installed.write_activate()
    checks = ChangeChecks(application, tmp_path)
    assert checks.check().changed
    assert not checks.check().changed
    application.change()
    assert checks.check().changed


PATH = """DATABASES["default"]["OPTIONS"] = {"options": "-c search_path=app"}"""


def test_a_tick_where_the_search_path_stands_in_the_application_s_settings(
    application: RunningApplication, tmp_path: Path
) -> None:
    """Copies of the tables lie in `public`, where we would look by ourselves."""
    cluster, database = application.database.cluster, application.database
    cluster.execute(f'CREATE SCHEMA app AUTHORIZATION "{database.user}"', database=database.name)
    names = [row[0] for row in database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    for name in names:
        database.execute(f'ALTER TABLE public."{name}" SET SCHEMA app')
        cluster.execute(f'CREATE TABLE public."{name}" AS TABLE app."{name}"', database=database.name)
        cluster.execute(f'ALTER TABLE public."{name}" OWNER TO "{database.user}"', database=database.name)
    application.installed.environment.update(set_over(application.installed, PATH))
    application.installed.write_activate()
    checks = ChangeChecks(application, tmp_path)
    assert checks.check().changed
    assert not checks.check().changed
    database.execute("UPDATE app.checkouts_airstrip SET name = name || '!' WHERE id = 1")
    found = checks.check()
    assert found.changed
    assert "app.checkouts_airstrip" in found.reason
    saved = checks.state.load()
    assert saved
    assert saved.migrations_table.startswith('app"."')
    assert {'app"."checkouts_airstrip', 'public"."checkouts_airstrip'} <= set(saved.business_tables)
    # A copy of another schema may be a tenant's.
    database.execute("UPDATE public.checkouts_airstrip SET name = name || '?' WHERE id = 1")
    assert "public.checkouts_airstrip" in checks.check().reason
    database.execute("INSERT INTO app.django_migrations (app, name, applied) VALUES ('checkouts', '0099', now())")
    assert checks.check().level is CheckLevel.FULL
