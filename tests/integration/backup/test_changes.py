"""No change is lost and no noise is saved: each kind of change, and of what is none, looked at one after the other."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.errors import SettingsError

from sandbox.postgres import Cluster
from tests.change_checks import ChangeChecks, checks, must_be_quiet, must_ignore, must_see
from tests.other_settings import keep_elsewhere

__all__ = ["checks"]

MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("checkouts", "{after}")]
    operations = [{operations}]
"""


def test_each_kind_of_change_by_sql_is_seen(checks: ChangeChecks) -> None:
    database = checks.application.database
    one_by_one = [
        ("INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES ('XX1', 'One', true)", "checkouts_airstrip"),
        ("UPDATE checkouts_pilotweight SET weight = weight + 1 WHERE id = (SELECT min(id) FROM checkouts_pilotweight)",
         "checkouts_pilotweight"),
        ("DELETE FROM checkouts_checkout WHERE id = (SELECT max(id) FROM checkouts_checkout)", "checkouts_checkout"),
        # Django's JSON cuts microseconds: the fixture is the same.
        ("UPDATE auth_user SET date_joined = date_trunc('millisecond', date_joined) + interval '7 microseconds'"
         " WHERE id = (SELECT min(id) FROM auth_user)", "auth_user"),
        ("UPDATE auth_user SET last_login = now() WHERE id = (SELECT min(id) FROM auth_user)", "auth_user"),
        ("INSERT INTO checkouts_airstrip_bases (from_airstrip_id, to_airstrip_id)"
         " SELECT id, id FROM checkouts_airstrip WHERE ident = 'XX1'", "checkouts_airstrip_bases"),
        ("WITH made AS (INSERT INTO auth_group (name) VALUES ('g') RETURNING id) INSERT INTO auth_group_permissions"
         " (group_id, permission_id) SELECT made.id, (SELECT min(id) FROM auth_permission) FROM made", "auth_group"),
        ("DELETE FROM auth_group_permissions WHERE group_id = (SELECT id FROM auth_group WHERE name = 'g')",
         "auth_group_permissions"),
        ("UPDATE checkouts_airstrip SET name = 'Moved' WHERE ident = 'XX1'", "checkouts_airstrip"),
        # Two rows change places: the same rows, but for the keys.
        ("UPDATE checkouts_pilotweight SET weight = 400 - weight", "checkouts_pilotweight"),
        ("ALTER TABLE checkouts_airstrip ADD COLUMN remark text DEFAULT 'none'", "columns"),
        ("ALTER TABLE checkouts_airstrip DROP COLUMN remark", "columns"),
        ("ALTER TABLE checkouts_pilotweight ALTER COLUMN weight TYPE bigint", "columns"),
        ("TRUNCATE checkouts_checkout", "checkouts_checkout"),
        ("TRUNCATE checkouts_airstrip CASCADE", "checkouts_airstrip"),
    ]  # fmt: skip
    for statement, where in one_by_one:
        database.execute(statement)
        must_see(checks, where)


def test_transactions_of_every_form_are_seen_when_they_commit_and_not_before(checks: ChangeChecks) -> None:
    database = checks.application.database
    insert = "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES (%s, 'T', false)"
    with ExitStack() as stack:
        open_one = stack.enter_context(database.connect())
        open_one.execute(insert, ("OPEN",))
        must_ignore(checks, CheckLevel.SNAPSHOT, CheckLevel.ROWS)
        other = stack.enter_context(database.connect())
        other.execute("SAVEPOINT a")
        other.execute(insert, ("LOST",))
        other.execute("ROLLBACK TO SAVEPOINT a")
        must_ignore(checks, CheckLevel.SNAPSHOT, CheckLevel.ROWS)
        other.execute("SAVEPOINT b")
        other.execute(insert, ("SAVED",))
        other.execute("RELEASE SAVEPOINT b")
        must_ignore(checks, CheckLevel.SNAPSHOT, CheckLevel.ROWS)
        other.commit()
        must_see(checks, "checkouts_airstrip")
        assert "\tSAVED\t" in checks.sql
        assert "OPEN" not in checks.sql
        assert "LOST" not in checks.sql
        open_one.commit()
        must_see(checks, "checkouts_airstrip")
        assert "OPEN" in checks.sql

        other.execute(insert, ("GONE",))
        other.rollback()
        must_ignore(checks)
        prepared = stack.enter_context(database.connect(autocommit=True))
        for name in ("kept", "dropped"):
            prepared.execute("BEGIN")
            prepared.execute(insert, (name[:6],))
            prepared.execute(f"PREPARE TRANSACTION '{name}-{database.name}'")
            must_ignore(checks, CheckLevel.SNAPSHOT, CheckLevel.ROWS)
        prepared.execute(f"ROLLBACK PREPARED 'dropped-{database.name}'")
        must_ignore(checks)
        prepared.execute(f"COMMIT PREPARED 'kept-{database.name}'")
        must_see(checks, "checkouts_airstrip")
        assert "kept" in checks.sql
        assert "droppe" not in checks.sql


def test_what_is_no_business_data_is_never_saved(checks: ChangeChecks, cluster: Cluster) -> None:
    database = checks.application.database
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.ROWS)
    same = [
        "UPDATE auth_user SET first_name = first_name",
        "UPDATE django_content_type SET model = model",
        "VACUUM FULL auth_user",
        "VACUUM",
        "ANALYZE",
        "REINDEX TABLE auth_user",
        "CLUSTER checkouts_airstrip USING checkouts_airstrip_pkey",
        "INSERT INTO django_admin_log (action_time, object_repr, action_flag, change_message, user_id)"
        " SELECT now(), 'x', 1, 'y', min(id) FROM auth_user",
        "DELETE FROM django_session",
        "CREATE TEMPORARY TABLE scratch AS SELECT * FROM auth_user",
        "SELECT nextval('auth_user_id_seq')",
        "ALTER TABLE checkouts_airstrip ALTER COLUMN name SET STATISTICS 50",
        "CREATE INDEX by_name ON checkouts_airstrip (name)",
    ]
    for statement in same:
        database.execute(statement)
        must_ignore(checks)
    with database.connect() as connection:  # away and back again, in another order
        connection.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM checkouts_checkout")
        connection.execute("TRUNCATE checkouts_checkout")
        connection.execute("INSERT INTO checkouts_checkout SELECT * FROM kept ORDER BY id DESC")
    must_ignore(checks)
    cluster.execute("CHECKPOINT")
    must_be_quiet(checks)
    cluster.execute("CREATE TABLE IF NOT EXISTS elsewhere (a int)", database="template1")
    cluster.execute("DROP TABLE elsewhere", database="template1")
    must_ignore(checks)

    # Another app's migration: looked into once.
    database.execute("CREATE TABLE other_thing (id int PRIMARY KEY)")
    must_ignore(checks, CheckLevel.FULL)
    database.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('other', '0001_initial', now())")
    must_ignore(checks, CheckLevel.FULL)
    database.execute("INSERT INTO other_thing VALUES (1)")
    must_ignore(checks, CheckLevel.ROWS)


def migrate(checks: ChangeChecks, name: str, after: str, operations: str, edit: Callable[[str], str]) -> None:
    """Change the application's models, and migrate its database as its owner would."""
    application = checks.application
    models = application.path / "checkouts" / "models.py"
    models.write_text(edit(models.read_text()))
    path = application.path / "checkouts" / "migrations" / f"{name}.py"
    path.write_text(textwrap.dedent(MIGRATION).format(after=after, operations=operations))
    application.owner.own(path)
    application.manage("migrate", "--verbosity=0")


def test_migrations_of_business_models_are_seen(checks: ChangeChecks) -> None:
    migrations = checks.application.path / "checkouts" / "migrations"
    last = sorted(path.stem for path in migrations.glob("0*.py"))[-1]

    rename = 'migrations.RenameField("airstrip", "name", "title")'
    migrate(checks, "0101_rename", last, rename,
            lambda text: text.replace("    name = models.CharField(max_length=255)\n    is_base",
                                      "    title = models.CharField(max_length=255)\n    is_base"))  # fmt: skip
    must_see(checks, "columns")
    assert all("title" in each["fields"] for each in checks.objects("checkouts.airstrip"))

    fields = '[("id", models.AutoField(primary_key=True)), ("text", models.TextField())]'
    create = f'migrations.CreateModel("Note", {fields})'
    model = '\n\nclass Note(models.Model):\n    """New."""\n\n    text = models.TextField()\n'
    migrate(checks, "0102_note", "0101_rename", create, lambda text: text + model)
    must_see(checks, "checkouts_note")
    checks.application.database.execute("INSERT INTO checkouts_note (text) VALUES ('first')")
    must_see(checks, "checkouts_note")
    assert [each["fields"]["text"] for each in checks.objects("checkouts.note")] == ["first"]

    # A table that no migration tells of, as `migrate --run-syncdb` makes them: seen before the day is over.
    models = checks.application.path / "checkouts" / "models.py"
    models.write_text(models.read_text() + model.replace("Note", "Memo"))
    checks.application.database.execute("CREATE TABLE checkouts_memo (id serial PRIMARY KEY, text text NOT NULL)")
    must_see(checks, "checkouts_memo")

    # Renamed by hand under a model that knows nothing of it: not silent.
    checks.application.database.execute("ALTER TABLE checkouts_memo RENAME COLUMN text TO words")
    must_see(checks, "columns")
    assert "text" in checks.dumped.missing["checkouts"]
    assert "checkouts.json" not in checks.members
    assert "words" in checks.sql


def test_a_view_or_inherited_rows_among_the_business_models_lose_nothing(checks: ChangeChecks) -> None:
    database = checks.application.database
    checks.set(ignored_fields=("auth.user.last_login",))
    must_see(checks, "settings")
    models = checks.application.path / "checkouts" / "models.py"
    models.write_text(
        models.read_text() + "\n\nclass Bases(models.Model):\n    ident = models.TextField(primary_key=True)\n\n"
        "    class Meta:\n        managed = False\n        db_table = 'bases'\n"
    )
    database.execute("CREATE VIEW bases AS SELECT ident FROM checkouts_airstrip WHERE is_base")
    assert checks.check(force=True).changed
    must_be_quiet(checks)
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.FULL)  # a view has no row digest
    for change in ("UPDATE auth_user SET email = 'x' WHERE id = (SELECT min(id) FROM auth_user)",
                   "UPDATE auth_user SET date_joined = date_joined + interval '1 microsecond'",
                   "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES ('XX9', 'Base', true)"):  # fmt: skip
        database.execute(change)
        must_see(checks)
    database.execute("DROP VIEW bases")
    models.write_text(models.read_text().partition("\n\nclass Bases")[0])
    must_see(checks, "fixtures")

    checks.set(ignored_fields=())
    must_see(checks, "settings")
    database.execute("CREATE TABLE more_types () INHERITS (checkouts_aircrafttype)")
    must_see(checks, "more_types")
    database.execute("INSERT INTO more_types (id, name, sorted_position) VALUES (999, 'Inherited', 3)")
    must_see(checks, "more_types", "fixtures of checkouts")
    assert "Inherited" in [each["fields"]["name"] for each in checks.objects("checkouts.aircrafttype")]
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.ROWS)


def test_rows_of_partitions_are_seen_as_they_are(checks: ChangeChecks) -> None:
    database = checks.application.database
    models = checks.application.path / "checkouts" / "models.py"
    models.write_text(
        models.read_text() + "\n\nclass Visit(models.Model):\n    at = models.DateTimeField()\n\n"
        "    class Meta:\n        managed = False\n        db_table = 'visits'\n"
    )
    database.execute("CREATE TABLE visits (id int PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id)")
    database.execute("CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10)")
    database.execute("CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id)")
    database.execute("CREATE TABLE visits_21 PARTITION OF visits_2 FOR VALUES FROM (10) TO (20)")
    database.execute("INSERT INTO visits VALUES (1, '2026-01-01 10:00Z'), (11, '2026-01-01 11:00Z')")
    must_see(checks, "visits_1", "visits_21", "fixtures of checkouts")
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.ROWS)
    for number, table in ((1, "visits_1"), (11, "visits_21")):
        # Django's JSON cuts microseconds: the fixture is the same.
        database.execute(f"UPDATE visits SET at = at + interval '7 microseconds' WHERE id = {number}")
        must_see(checks, table)
    database.execute("ALTER TABLE visits DETACH PARTITION visits_1")
    must_see(checks, "visits_1")


def test_an_ignored_field_alone_is_no_change_but_stands_in_the_archive(checks: ChangeChecks) -> None:
    checks.set(ignored_fields=("auth.user.last_login",))
    must_see(checks, "settings")
    database = checks.application.database
    database.execute("UPDATE auth_user SET last_login = '2031-01-02 03:04:05.678+00' WHERE is_superuser")
    must_ignore(checks, CheckLevel.ROWS)
    checks.set(full_check_every=0.0)
    full = checks.check()
    assert (full.changed, full.level) == (False, CheckLevel.FULL)
    checks.set(full_check_every=86400.0)
    database.execute("UPDATE auth_user SET first_name = 'Changed' WHERE is_superuser")
    must_see(checks, "auth_user")
    assert "2031-01-02 03:04:05.678+00" in checks.sql
    logins = [each["fields"]["last_login"] for each in checks.objects("auth.user")]
    assert "2031-01-02T03:04:05.678Z" in logins


def test_a_model_that_is_kept_in_another_database_is_told(
    checks: ChangeChecks, caplog: pytest.LogCaptureFixture
) -> None:
    installed = checks.application.installed
    installed.environment.update(keep_elsewhere(installed, "admin.logentry"))
    installed.write_activate()
    must_be_quiet(checks)
    checks.application.change()
    must_see(checks, "checkouts_airstrip")
    assert [record.levelname for record in caplog.records if "admin.logentry" in record.message] == ["WARNING"]
    assert "admin.json" not in checks.members

    checks.set(business_apps=("auth", "checkouts"))
    assert checks.check(force=True).changed
    for elsewhere in (["checkouts.pilotweight"], ["auth.user", "auth.group", "auth.permission"]):
        installed.environment.update(keep_elsewhere(installed, *elsewhere))
        installed.write_activate()
        checks.application.change()
        with pytest.raises(SettingsError, match=elsewhere[0]) as caught:
            checks.check()
        assert "checkniner_backups_business_apps" in caught.value.hint
    checks.set(business_apps=("checkouts",))
    assert checks.check().changed
