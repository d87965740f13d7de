"""Names that an archive has other uses for: they are saved and come back all the same."""

from __future__ import annotations

import json

from checkniner_backups.postgres.dsn import parse_url

from sandbox.server import Server
from tests.other_settings import set_over
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restore_command import Restorer, restorer
from tests.ticking import opened

__all__ = ["restorer"]

MODEL = """
from django.db import models

class Cargo(models.Model):
    name = models.CharField(max_length=20)
"""
CARGO = "SELECT id, name FROM manifest_cargo ORDER BY id"


def test_an_app_called_manifest(restorer: Restorer) -> None:
    server, application = restorer.server, restorer.application.installed
    app = application.path / "manifest"
    app.mkdir()
    for name, text in {"__init__.py": "", "models.py": MODEL}.items():
        (app / name).write_text(text)
    application.environment.update(set_over(application, "INSTALLED_APPS += ['manifest']"))
    application.write_activate()
    application.owner.own(app)
    application.manage("migrate", "--run-syncdb")
    restorer.rows("INSERT INTO manifest_cargo (name) VALUES ('apples'), ('pears')")
    cargo = restorer.rows(CARGO)
    server.write_environment(CHECKNINER_BACKUPS_BUSINESS_APPS="auth,checkouts,manifest")

    key = server.tick()["key"]
    members = opened(server, restorer.keys, key)
    assert json.loads(members["manifest.json"])["fixtures"]["apps"]["manifest"] == 2
    assert [each["fields"]["name"] for each in json.loads(members["manifest.fixture.json"])] == ["apples", "pears"]
    assert not server.tick()["saved"]
    restorer.rows("UPDATE manifest_cargo SET name = 'plums' WHERE name = 'pears'")
    assert server.tick()["saved"]
    done = restorer.run(key, "--source", "fixtures", "--apps", "manifest", "--live")
    assert "proven: fixtures of 1 apps" in done.stdout
    assert restorer.rows(CARGO) == cargo


def test_a_database_whose_name_begins_with_a_dash(server: Server, application: RunningApplication, keys: Keys) -> None:
    database = application.database
    name = f"-{database.name}"
    database.cluster.create_database(name, database.user, database.name)
    installed = application.installed
    installed.environment["DATABASE_URL"] = database.cluster.url(name, database.user, database.password)
    assert parse_url(installed.environment["DATABASE_URL"]).database == name
    installed.write_activate()
    try:
        key = server.tick()["key"]
        assert f"{database.name}.sql" in opened(server, keys, key)
        restorer = Restorer(server, application, keys)
        strips = restorer.rows("SELECT count(*) FROM checkouts_airstrip", name)
        done = restorer.run(key, "--source", "sql", "--target", f"{database.name}_copy")
        assert "proven" in done.stdout
        assert restorer.rows("SELECT count(*) FROM checkouts_airstrip", f"{database.name}_copy") == strips
        done = restorer.run(key, "--source", "sql", "--json")
        previous = json.loads(done.stdout)["previous"]
        assert restorer.rows("SELECT count(*) FROM checkouts_airstrip", previous) == strips
        database.cluster.drop_database(previous)
    finally:
        database.cluster.drop_database(name)
