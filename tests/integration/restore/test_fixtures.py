"""Fixtures restored into what ordinary applications have: receivers, triggers, views, extensions, schemas."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from checkniner_backups.restore.target import _cause
from psycopg import sql

from sandbox.server import Server
from tests.other_settings import set_over
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import Restorer

_MIGRATION = """
from django.db import migrations, models
{imports}

class Migration(migrations.Migration):
    dependencies = [("checkouts", "0001_initial"), ("auth", "0001_initial")]
    operations = [{operations}]
"""
_SQL = "migrations.RunSQL({!r})"


@pytest.fixture
def restorer(server: Server, application: RunningApplication, keys: Keys) -> Restorer:
    return Restorer(server, application.database, keys.keyring)


def migrate(application: RunningApplication, *operations: str, imports: str = "") -> None:
    """Give the application a migration with these operations, and run it."""
    path = application.path / "checkouts" / "migrations" / "0002_case.py"
    path.write_text(_MIGRATION.format(imports=imports, operations=", ".join(operations)))
    application.owner.own(path)
    application.manage("migrate", "--verbosity", "0")


def add_to_models(application: RunningApplication, code: str) -> None:
    with (application.path / "checkouts" / "models.py").open("a") as file:
        file.write(code)


def restored(restorer: Restorer, *allowed: str) -> dict[str, Any]:
    """Save an archive, and restore its fixtures into a new database; return the proof, with the database's name."""
    restorer.server.tick()
    restorer.fetch()
    name = restorer.databases.create(restorer.database.user, restorer.metadata(), allowed, kind="fixtures").database
    return {**restorer.load(name, "fixtures"), "database": name}


def rows(restorer: Restorer, table: str, database: str = "") -> list[tuple[Any, ...]]:
    """Return all rows of a table, as text: by another way than ours."""
    with psycopg.connect(restorer.database.cluster.admin_url(database or restorer.database.name)) as connection:
        query = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(*table.split(".")))
        return connection.execute(query).fetchall()


def same(restorer: Restorer, found: dict[str, Any], *tables: str) -> None:
    """The restore says that it is proven, and these tables hold the same rows as the live ones."""
    assert found.get("proven"), found
    for table in tables:
        there = rows(restorer, table)
        assert there, table
        assert rows(restorer, table, found["database"]) == there, table


def test_a_receiver_that_creates_rows_for_each_new_user_is_silent(
    restorer: Restorer, application: RunningApplication
) -> None:
    add_to_models(
        application,
        "\n\nfrom django.db.models.signals import post_save\n"
        "def make_weight(sender, instance, created, **kwargs):\n"
        "    if created:\n        PilotWeight.objects.create(pilot=instance, weight=1)\n"
        "post_save.connect(make_weight, sender=settings.AUTH_USER_MODEL)\n",
    )
    application.manage("createsuperuser", "--noinput", "--username", "another", "--email", "a@example.org")
    same(restorer, restored(restorer), "checkouts_pilotweight")


def test_triggers_neither_write_nor_refuse_during_a_load_and_are_on_afterwards(
    restorer: Restorer, application: RunningApplication
) -> None:
    migrate(
        application,
        _SQL.format(
            "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES ('MADE', 'By a data migration', false);"
            "CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO auth_group (name) VALUES ('of ' || NEW.ident); RETURN NEW; END $$;"
            "CREATE TRIGGER logs AFTER INSERT ON checkouts_airstrip FOR EACH ROW EXECUTE FUNCTION log_it();"
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'append only'; END $$;"
            "CREATE TRIGGER refuses BEFORE DELETE ON checkouts_airstrip FOR EACH ROW EXECUTE FUNCTION refuse();"
            "ALTER TABLE checkouts_airstrip ENABLE ALWAYS TRIGGER refuses;"
            "CREATE TRIGGER off AFTER INSERT ON checkouts_airstrip FOR EACH ROW EXECUTE FUNCTION refuse();"
            "ALTER TABLE checkouts_airstrip DISABLE TRIGGER off;"
        ),
    )
    application.change()
    found = restored(restorer)
    same(restorer, found, "checkouts_airstrip", "auth_group")
    with psycopg.connect(restorer.database.cluster.admin_url(found["database"])) as connection:
        states = connection.execute(
            "SELECT tgname, tgenabled::text FROM pg_trigger"
            " WHERE NOT tgisinternal AND tgrelid = 'checkouts_airstrip'::regclass ORDER BY 1"
        ).fetchall()
    assert states == [("logs", "O"), ("off", "D"), ("refuses", "A")]


def test_a_trigger_that_fills_a_column_of_no_model_stays_on(
    restorer: Restorer, application: RunningApplication
) -> None:
    migrate(
        application,
        _SQL.format(
            "ALTER TABLE checkouts_airstrip ADD folded text;"
            "CREATE FUNCTION fold() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.folded = lower(NEW.ident); RETURN NEW; END $$;"
            "CREATE TRIGGER folds BEFORE INSERT OR UPDATE ON checkouts_airstrip"
            " FOR EACH ROW EXECUTE FUNCTION fold();"
            "UPDATE checkouts_airstrip SET name = name"
        ),
    )
    same(restorer, restored(restorer), "checkouts_airstrip")


def test_a_permission_that_was_deleted_stays_deleted(restorer: Restorer, application: RunningApplication) -> None:
    application.database.execute("DELETE FROM auth_permission WHERE codename = 'add_logentry'")
    found = restored(restorer)
    assert found.get("proven"), found
    codenames = [row for row in rows(restorer, "auth_permission", found["database"]) if "add_logentry" in row[0]]
    assert not codenames
    assert len(rows(restorer, "auth_permission", found["database"])) == len(rows(restorer, "auth_permission"))


def test_a_type_that_comes_with_a_migration_is_adapted(restorer: Restorer, application: RunningApplication) -> None:
    installed = application.installed
    installed.environment.update(set_over(installed, "INSTALLED_APPS = [*INSTALLED_APPS, 'django.contrib.postgres']\n"))
    installed.write_activate()
    add_to_models(
        application,
        "\n\nfrom django.contrib.postgres.fields import HStoreField\n"
        "class Tagged(models.Model):\n    tags = HStoreField()\n",
    )
    migrate(
        application,
        "HStoreExtension()",
        "migrations.CreateModel('Tagged', [('id', models.BigAutoField(primary_key=True)), ('tags', HStoreField())])",
        imports="from django.contrib.postgres.fields import HStoreField\n"
        "from django.contrib.postgres.operations import HStoreExtension",
    )
    application.database.execute("INSERT INTO checkouts_tagged (tags) VALUES ('a => 1, b => NULL')")
    same(restorer, restored(restorer), "checkouts_tagged")


def test_an_extension_that_no_migration_makes_is_made_before_them(
    restorer: Restorer, application: RunningApplication
) -> None:
    cluster = application.database.cluster
    cluster.execute("CREATE EXTENSION pg_trgm", database=application.database.name)
    migrate(application, _SQL.format("CREATE INDEX ON checkouts_airstrip USING gin (name gin_trgm_ops)"))
    same(restorer, restored(restorer), "checkouts_airstrip")


def test_a_schema_that_only_the_urls_search_path_names_is_made(
    restorer: Restorer, application: RunningApplication
) -> None:
    database, installed = application.database, application.installed
    database.execute("CREATE SCHEMA shop")
    for (table,) in database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        database.execute(sql.SQL("ALTER TABLE {} SET SCHEMA shop").format(sql.Identifier(table)))
    url = f"{database.url}{'&' if '?' in database.url else '?'}options={quote('-c search_path=shop')}"
    installed.environment["DATABASE_URL"] = url
    installed.write_activate()
    same(restorer, restored(restorer), "shop.checkouts_airstrip", "shop.checkouts_checkout")


@pytest.mark.parametrize("materialized", [False, True])
def test_nothing_is_loaded_into_a_view(
    restorer: Restorer, application: RunningApplication, *, materialized: bool
) -> None:
    add_to_models(
        application,
        "\n\nclass Base(models.Model):\n    ident = models.CharField(primary_key=True, max_length=8)\n"
        "    class Meta:\n        managed = False\n        db_table = 'bases'\n",
    )
    kind = "MATERIALIZED VIEW" if materialized else "VIEW"
    migrate(application, _SQL.format(f"CREATE {kind} bases AS SELECT ident FROM checkouts_airstrip WHERE is_base"))
    found = restored(restorer)
    same(restorer, found, "checkouts_airstrip", "bases")
    assert "checkouts.base show rows of other tables" in found["words"]


def test_a_table_that_no_migration_makes_is_told_before_anything_is_loaded(
    restorer: Restorer, application: RunningApplication
) -> None:
    add_to_models(
        application,
        "\n\nclass Legacy(models.Model):\n    name = models.CharField(primary_key=True, max_length=8)\n"
        "    class Meta:\n        managed = False\n        db_table = 'legacy'\n",
    )
    application.database.execute("CREATE TABLE legacy (name varchar(8) PRIMARY KEY)")
    application.database.execute("INSERT INTO legacy VALUES ('x')")
    found = restored(restorer)
    assert "migrations make no table for checkouts.legacy" in found["message"], found
    assert "source=sql" in found["hint"]


def test_what_migrate_says_names_the_migration_and_the_error() -> None:
    said = [
        "Operations to perform:", "  Applying shop.0001_initial... OK", "  Applying shop.0002_names...",
        "Traceback (most recent call last):", '  File "x.py", line 1, in execute',
        'psycopg.errors.UndefinedObject: operator class "gin_trgm_ops" does not exist for access method "gin"',
        "The above exception was the direct cause of the following exception:",
        'django.db.utils.ProgrammingError: operator class "gin_trgm_ops" does not exist for access method "gin"',
        "LINE 1: ...ops_names ON shop_names USING gin (name gin_trgm_ops)", "        ^",
    ]  # fmt: skip
    assert _cause(said) == (
        'shop.0002_names: django.db.utils.ProgrammingError: operator class "gin_trgm_ops" does not exist for access'
        ' method "gin"'
    )
    assert _cause(["CommandError: no such option"]) == "CommandError: no such option"
    assert _cause(["words"]) == "words"
    assert _cause([]) == "it said nothing"
