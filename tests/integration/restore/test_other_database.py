"""Fixtures into another database: PostgreSQL to SQLite and back with equal objects, by the operator's own checkout."""

from __future__ import annotations

import gzip
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from checkniner_backups.archive.file import ArchiveFile
from checkniner_backups.django_app.environment import Code
from checkniner_backups.errors import ApplicationError, RestoreError
from checkniner_backups.restore import other_database as elsewhere
from checkniner_backups.restore.stages import Accepted
from checkniner_backups.verify.fixtures import digest_fixtures

from sandbox.control import Control
from sandbox.server import Server
from tests.archives import archive, entry, manifest_for, tar
from tests.plugins.application import RunningApplication
from tests.plugins.fixtures_project import Members
from tests.plugins.keys import Keys


def test_a_copy_on_the_operators_machine_and_back(
    server: Server, application: RunningApplication, control: Control, keys: Keys
) -> None:
    key = server.tick()["key"]
    code = Code(application.path, application.virtualenv)
    copy = application.installed.folder / "copy.db"
    control.variables |= {
        "ansible_connection": "ssh",  # the server is not connected to
        "ansible_host": "192.0.2.1",
        "checkniner_backups_drill_application_path": str(code.path),
        "checkniner_backups_drill_virtualenv": str(code.virtualenv),
    }
    asked = ("-e", "source=fixtures", "-e", f"target_url=sqlite:///{copy}")
    done = control.play("restore.yml", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "proven: fixtures of 5 apps" in done.stdout
    with sqlite3.connect(copy) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM checkouts_checkout")
    assert [(rows,)] == application.database.execute("SELECT count(*) FROM checkouts_checkout")
    refused = control.play("restore.yml", *asked)
    assert refused.returncode != 0
    assert "tables already" in refused.stdout
    assert control.play("restore.yml", "-e", "source=sql", *asked[2:]).returncode != 0

    # What SQLite holds, as an archive, back into PostgreSQL.
    before = digests(code, application.database.url)
    assert digests(code, f"sqlite:///{copy}") == before
    content = dumped(code, f"sqlite:///{copy}")
    archive = application.installed.folder / "back.tar.gz"
    manifest = manifest_for(content)
    archive.write_bytes(
        gzip.compress(
            tar([entry(name, data) for name, data in [("manifest.json", manifest.to_json()), *content.items()]])
        )
    )
    cluster = application.database.cluster
    back = f"{application.database.name}_back"
    cluster.create_database(back, application.database.user)
    url = cluster.url(back, application.database.user, application.database.password)
    proof = elsewhere.from_checkout("checkniner", code, ArchiveFile(archive), url)
    assert proof.proven
    assert digests(code, url) == before
    assert key in control.play("restore.yml", "--check", *asked).stdout

    with pytest.raises(RestoreError, match="of the application 'checkniner'"):
        elsewhere.from_checkout("another", code, ArchiveFile(archive), url)


def test_a_refused_copy_leaves_the_empty_database_empty(
    server: Server, application: RunningApplication, tmp_path: Path
) -> None:
    """Whoever follows the hint and tries again is not refused for what the first try has left."""
    code = Code(application.path, application.virtualenv)
    content = dumped(code, application.database.url)
    with elsewhere._pointed(code, application.database.url) as target, target.started() as process:
        migrations = {app: list(names) for app, names in process.connection_info().migrations.items()}
        assert process.migrations_of_code() == process.connection_info().migrations
    cluster, empty = application.database.cluster, f"{application.database.name}_empty"
    cluster.create_database(empty, application.database.user)
    url = cluster.url(empty, application.database.user, application.database.password)
    copy = application.installed.folder / "copy.db"
    urls = (url, f"sqlite:///{copy}")

    def packed(name: str, content: dict[str, bytes], migrations: dict[str, list[str]]) -> ArchiveFile:
        manifest = replace(manifest_for(content), fixtures={"migrations": migrations})
        (tmp_path / name).write_bytes(archive(content, manifest))
        return ArchiveFile(tmp_path / name)

    ahead = packed("ahead.tar.gz", content, {**migrations, "checkouts": [*migrations["checkouts"], "0077_more"]})
    odd = content["checkouts.json"].replace(b'"checkouts.airstrip"', b'"checkouts.landing"', 1)
    broken = packed("broken.tar.gz", {**content, "checkouts.json": odd}, migrations)
    good = packed("good.tar.gz", content, migrations)
    for each in urls:
        with pytest.raises(RestoreError, match=r"checkouts\.0077_more only there") as caught:
            elsewhere.from_checkout("checkniner", code, ahead, each)
        assert "other_migrations=true" in caught.value.hint
        with pytest.raises(ApplicationError, match=r"checkouts\.landing"):
            elsewhere.from_checkout("checkniner", code, broken, each)
        assert elsewhere.from_checkout("checkniner", code, ahead, each, accepted=Accepted(migrations=True)).proven
        with pytest.raises(RestoreError, match="tables already"):
            elsewhere.from_checkout("checkniner", code, good, each)
        with elsewhere._pointed(code, each) as target, target.started() as process:
            assert process.connection_info().tables > 10  # what was there already is nobody's to clear

    # Of the code's migrations, those are known that migrate would note; one that replaces others is noted with them.
    squashed = application.path / "checkouts" / "migrations" / "0078_squashed.py"
    squashed.write_text(
        "import importlib\n\nfrom django.db import migrations\n\n"
        "first = importlib.import_module('checkouts.migrations.0001_initial').Migration\n\n\n"
        "class Migration(migrations.Migration):\n    initial = True\n    replaces = [('checkouts', '0001_initial')]\n"
        "    dependencies = first.dependencies\n    operations = first.operations\n"
    )
    application.owner.own(squashed)
    another = f"sqlite:///{application.installed.folder / 'another.db'}"
    with elsewhere._pointed(code, another) as target, target.started() as process:
        told = process.migrations_of_code()
        target.migrate()
        assert process.connection_info().migrations == told
        assert told["checkouts"] == ("0001_initial", "0078_squashed")


def test_settings_that_lead_elsewhere_are_found_before_anything_is_written(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """An application that does not follow DATABASE_URL would have its own database emptied."""
    server.tick()
    key = server.keys()[0]
    path = application.installed.folder / "archive.tar.gz.gpg"
    path.write_bytes(server.store.client().get_object(Bucket=server.bucket, Key=key)["Body"].read())
    settings = application.path / "checkniner" / "settings.py"
    with settings.open("a") as file:
        file.write(f"\nDATABASES['default'] = dj_database_url.parse({application.database.url!r})\n")
    before = application.database.execute("SELECT count(*) FROM auth_user")
    code = Code(application.path, application.virtualenv)
    source = ArchiveFile(path, gnupg_home=keys.keyring.home)
    with pytest.raises(ApplicationError, match="settings lead to"):
        elsewhere.from_checkout("checkniner", code, source, "sqlite:////tmp/nowhere.db")
    assert application.database.execute("SELECT count(*) FROM auth_user") == before


def digests(code: Code, url: str) -> dict[str, str]:
    with elsewhere._pointed(code, url) as target, target.started() as process:
        return dict(digest_fixtures(process).digests)


def dumped(code: Code, url: str) -> dict[str, bytes]:
    members = Members()
    with elsewhere._pointed(code, url) as target, target.started() as process:
        process.dump(snapshot=None, lock_tables=[], lock_timeout=0, apps=None, open_member=members.open)
    return {f"{app}.json": members[app] for app in members.closed}
