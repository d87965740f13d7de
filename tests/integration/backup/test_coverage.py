"""Which tables hold business data: in every schema, of every app, and nothing left outside without a word."""

from __future__ import annotations

import logging

import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.errors import SettingsError

from sandbox.server import Server
from tests.change_checks import ChangeChecks, checks, must_be_quiet, must_ignore, must_see
from tests.other_settings import set_over

__all__ = ["checks"]

# Like the router of django-tenants: no migration makes the app's tables in the schema that Django is connected to,
# while the rows are read from this database.
_TENANTS = """
DATABASE_ROUTERS = ["checkniner.other.Router"]
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return None if (app_label, model_name) != ("checkouts", "pilotweight") else False
"""


def test_a_business_apps_table_counts_in_every_schema(checks: ChangeChecks) -> None:
    database = checks.application.database
    database.execute("CREATE SCHEMA acme")
    database.execute("CREATE TABLE acme.checkouts_airstrip (LIKE public.checkouts_airstrip INCLUDING ALL)")
    must_see(checks, "acme.checkouts_airstrip")
    database.execute("INSERT INTO acme.checkouts_airstrip (ident, name, is_base) VALUES ('KIL', 'Kilo', true)")
    must_see(checks, "acme.checkouts_airstrip")
    database.execute("UPDATE acme.checkouts_airstrip SET name = 'Lima'")
    must_see(checks, "acme.checkouts_airstrip")
    checks.application.change_noise()
    must_ignore(checks, CheckLevel.ROWS)


def test_an_app_of_the_tenants_alone_counts_and_is_not_called_absent(
    checks: ChangeChecks, caplog: pytest.LogCaptureFixture
) -> None:
    database, installed = checks.application.database, checks.application.installed
    database.execute("CREATE SCHEMA alpha")
    database.execute("ALTER TABLE checkouts_pilotweight SET SCHEMA alpha")
    installed.environment.update(set_over(installed, _TENANTS))
    installed.write_activate()
    for named in ((), ("auth", "checkouts")):
        checks.set(business_apps=named)
        assert checks.check(force=True).changed
        must_be_quiet(checks)
        database.execute("UPDATE alpha.checkouts_pilotweight SET weight = weight + 1")
        must_see(checks, "alpha.checkouts_pilotweight")
    assert "in no archive" not in caplog.text


def test_without_named_apps_all_count_but_those_that_record_what_was_done(checks: ChangeChecks) -> None:
    database = checks.application.database
    assert checks.settings.business_apps == ()
    database.execute("UPDATE auth_user SET first_name = 'Another' WHERE is_superuser")
    must_see(checks, "auth_user")
    database.execute(
        "INSERT INTO django_admin_log (action_time, object_repr, action_flag, change_message, user_id)"
        " SELECT now(), 'x', 1, '', id FROM auth_user WHERE is_superuser"
    )
    must_ignore(checks, CheckLevel.ROWS)


def test_an_app_that_does_not_exist_is_refused_with_those_that_do(checks: ChangeChecks) -> None:
    checks.set(business_apps=("auth", "checkuots"))
    with pytest.raises(SettingsError, match="checkuots") as caught:
        checks.check()
    assert "checkouts" in caught.value.hint


def test_a_table_of_no_model_is_named_by_the_tick_the_status_and_the_check(
    checks: ChangeChecks, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    database = checks.application.database
    database.execute("CREATE TABLE by_hand (id int PRIMARY KEY)")
    checks.application.change()
    must_see(checks, "checkouts_airstrip")
    assert "public.by_hand" in caplog.text
    server.tick()
    assert "public.by_hand" in server.run("status").stdout
    told = server.run("check").stdout
    assert "WARNING: in each archive's SQL, but of no model" in told
    assert "public.by_hand" in told
    assert "business apps auth, checkouts" in told
