"""Whatever can be saved is saved, what is missing is said at every tick, and no partial success is called a success."""

from __future__ import annotations

import json

import pytest

from sandbox.server import Server
from tests.integration.backup.test_whole_ticks import pings
from tests.integration.restore.test_fixtures import add_to_models, migrate
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import Restorer
from tests.ticking import opened

__all__ = ["pings"]

PARTIAL = 16
BREAK = "UPDATE auth_user SET date_joined = '0044-03-15 12:00 BC' WHERE id = (SELECT max(id) FROM auth_user)"
MEND = "UPDATE auth_user SET date_joined = now() WHERE date_joined < '0001-01-01'"


def manifest_of(members: dict[str, bytes]) -> dict[str, object]:
    return dict(json.loads(members["manifest.json"])["fixtures"])


def test_one_odd_value_costs_one_fixture_until_it_is_mended(
    server: Server, application: RunningApplication, keys: Keys, pings: list[str]
) -> None:
    whole = server.tick()["key"]
    application.database.execute(BREAK)
    [(key,)] = application.database.execute("SELECT max(id) FROM auth_user")
    pings.clear()
    done = server.run("run", check=False)
    assert done.returncode == PARTIAL, done.stderr
    assert f"auth.user pk={key} date_joined" in done.stderr
    assert "HINT" in done.stderr
    partial = server.keys()[-1]
    assert partial != whole
    members = opened(server, keys, partial)
    assert "auth.json" not in members
    assert {"checkouts.json", "contenttypes.json", f"{application.database.name}.sql"} <= members.keys()
    assert b"0044-03-15 12:00:00" in members[f"{application.database.name}.sql"]
    told = manifest_of(members)
    assert f"auth.user pk={key} date_joined" in str(told["missing"])
    assert told["last_whole"] == whole

    for _ in range(3):  # idle: by rows, then by the snapshot alone
        assert server.run("run", check=False).returncode == PARTIAL
    application.change_noise()
    assert server.run("run", check=False).returncode == PARTIAL
    assert server.keys()[-1] == partial
    assert pings == []
    status = server.run("status", check=False)
    assert status.returncode != 0
    assert f"lacks the fixture of auth: auth.user pk={key}" in status.stdout
    kept = server.run("clean")
    assert kept.returncode == 0
    names = {path.name for path in (server.state_path / "archives").iterdir()}
    assert {whole.rpartition("/")[2], partial.rpartition("/")[2]} <= names

    application.database.execute(MEND)
    assert server.tick()["saved"]
    assert len(pings) == 1
    told = manifest_of(opened(server, keys, server.keys()[-1]))
    assert "missing" not in told
    assert server.run("status").returncode == 0


def test_the_applications_code_that_cannot_be_read_and_is_mended_by_a_deployment(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    server.tick()
    models = application.path / "checkouts" / "models.py"
    code = models.read_text()
    broken = "\n\ndef _refuse(self):\n    raise KeyError('no such thing')\nAirstrip.value_from_object = _refuse\n"
    broken += "models.CharField.value_to_string = models.CharField.value_from_object = lambda *_: {}['nothing']\n"
    models.write_text(code + broken)
    application.change()
    done = server.run("run", check=False)
    assert done.returncode == PARTIAL, done.stderr
    told = manifest_of(opened(server, keys, server.keys()[-1]))
    assert told["missing"]
    models.write_text(code)
    assert server.run("run", check=False).returncode == PARTIAL  # no row tells that the code was mended
    state = dict(server.state()) | {"full_check_at": server.state()["full_check_at"] - 3601}
    (server.state_path / "state.json").write_text(json.dumps(state))
    assert server.tick()["saved"]
    assert "missing" not in manifest_of(opened(server, keys, server.keys()[-1]))


def test_without_django_the_sql_is_saved(server: Server, application: RunningApplication, keys: Keys) -> None:
    settings = application.path / "checkniner" / "settings.py"
    code = settings.read_text()
    settings.write_text(code + "\nimport no_such_module\n")
    assert server.run("run", check=False).returncode == 4  # nothing was ever saved: the set-up is not complete
    assert server.keys() == []
    settings.write_text(code)
    whole = server.tick()["key"]
    settings.write_text(code + "\nimport no_such_module\n")
    application.change()
    done = server.run("run", check=False)
    assert done.returncode == PARTIAL, done.stderr
    assert "no_such_module" in done.stderr
    members = opened(server, keys, server.keys()[-1])
    assert sorted(members) == sorted([f"{application.database.name}.sql", "manifest.json", "manifest.json.sig"])
    assert manifest_of(members)["last_whole"] == whole
    assert server.run("run", check=False).returncode == PARTIAL
    assert len(server.keys()) == 2
    application.change()
    assert server.run("run", check=False).returncode == PARTIAL
    assert len(server.keys()) == 3
    settings.write_text(code)
    application.change()
    assert server.tick()["saved"]


@pytest.mark.parametrize("apps", [(), ("auth",)])
def test_a_missing_fixture_is_refused_before_anything_is_loaded(
    server: Server, application: RunningApplication, keys: Keys, apps: tuple[str, ...]
) -> None:
    whole = server.tick()["key"]
    application.database.execute(BREAK)
    assert server.run("run", check=False).returncode == PARTIAL
    restorer = Restorer(server, application.database, keys.keyring)
    restorer.fetch()
    found = restorer.load(restorer.create(), "fixtures", apps)
    assert "lacks fixtures that could not be read" in found["message"]
    assert "auth.user pk=" in found["message"]
    assert f"archive={whole}" in found["hint"]
    assert restorer.load(restorer.create(), "sql")["proven"]
    if not apps:
        assert restorer.load(restorer.create(), "fixtures", ("checkouts", "contenttypes")).get("proven") is None


def test_what_a_fixture_cannot_hold_exactly_is_said(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    add_to_models(application, "\n\nclass Measured(models.Model):\n    what = models.JSONField()\n")
    fields = "[('id', models.BigAutoField(primary_key=True)), ('what', models.JSONField())]"
    migrate(application, f"migrations.CreateModel('Measured', {fields})")
    for what in ('{"long": 0.1234567890123456789012345}', '{"exact": 0.25, "text": "12345678901234567890"}'):
        application.database.execute("INSERT INTO checkouts_measured (what) VALUES (%s)", (what,))
    application.database.execute("UPDATE auth_user SET last_login = 'infinity' WHERE is_superuser")
    [(key,)] = application.database.execute("SELECT id FROM auth_user WHERE is_superuser")
    done = server.run("run")
    assert "is not exact" in done.stderr
    inexact = manifest_of(opened(server, keys, server.keys()[-1]))["inexact"]
    assert inexact == {
        "auth": [f"auth.user pk={key} last_login: infinity is no date in Python"],
        "checkouts": [
            "checkouts.measured pk=1 what: the number 0.1234567890123456789012345 has more digits than a float keeps"
        ],
    }
    assert "NOTE: the fixture of auth is not exact" in server.run("status").stdout  # to be known, not to be mended
    restorer = Restorer(server, application.database, keys.keyring)
    restorer.fetch()
    words = restorer.load(restorer.create(), "fixtures")["words"]
    assert "NOT exact" in words
    assert "last_login" in words


def test_rows_that_go_by_the_number_of_a_content_type_are_said_to_be_inexact(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """Content types may be numbered in another way after a restore: such a row would be another one's, unseen."""
    add_to_models(
        application,
        "\nfrom django.contrib.auth.models import Permission\n"
        "from django.contrib.contenttypes.models import ContentType\n"
        "class Described(models.Model):\n"
        "    kind = models.OneToOneField(ContentType, models.CASCADE, primary_key=True)\n"
        "class Right(Permission):\n    why = models.CharField(max_length=9)\n",
    )
    migrate(
        application,
        "migrations.CreateModel('Described', [('kind', models.OneToOneField("
        "'contenttypes.ContentType', models.CASCADE, primary_key=True, serialize=False))])",
        "migrations.CreateModel('Right', [('permission_ptr', models.OneToOneField('auth.Permission', models.CASCADE,"
        " auto_created=True, parent_link=True, primary_key=True, serialize=False)),"
        " ('why', models.CharField(max_length=9))], bases=('auth.permission',))",
    )
    server.tick()
    assert "inexact" not in manifest_of(opened(server, keys, server.keys()[-1]))  # no row, nothing to tell
    application.database.execute("INSERT INTO checkouts_described SELECT min(id) FROM django_content_type")
    application.database.execute("INSERT INTO checkouts_right SELECT min(id), 'so' FROM auth_permission")
    server.tick()
    (lines,) = dict(manifest_of(opened(server, keys, server.keys()[-1]))["inexact"]).values()
    assert [line.partition(":")[0] for line in sorted(lines)] == ["checkouts.described", "checkouts.right"]
    assert "a row of contenttypes.contenttype" in str(lines)
    assert "a row of auth.permission" in str(lines)
