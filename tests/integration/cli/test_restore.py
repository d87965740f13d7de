"""`checkniner-backups restore`, by the owner on the server: in place, beside, in part; and what it refuses."""

from __future__ import annotations

import json
import re

import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.disk_space import lacking_disk_space
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.session import connect
from checkniner_backups.restore.databases import Databases

from sandbox.postgres import Cluster
from tests.restore_command import ADMIN_URL, RENAME, STRIPS, USERS, Restorer, restorer

__all__ = ["restorer"]


def stages_of(log: str) -> list[str]:
    """Given what the command logged, return the stages that it went through, in order."""
    return re.findall(r" restore: (\w+)$", log, re.MULTILINE)


def test_in_place_and_beside_with_the_old_data_kept_and_saved(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    before = restorer.rows(STRIPS)
    restorer.application.change()
    changed = restorer.rows(STRIPS)

    refused = restorer.run(key, "--source", "sql", admin=False, check=False)
    assert refused.returncode == 3
    assert "may not create databases" in refused.stderr
    assert ADMIN_URL in refused.stderr

    marker = restorer.application.installed.folder / "state" / "marker"
    done = restorer.run(key, "--source", "sql", "--json", "--before", f"touch {marker}", "--after", f"rm {marker}")
    assert stages_of(done.stderr) == ["create", "load", "save", "swap", "save_between"]
    said = json.loads(done.stdout)
    assert said["proven"]
    assert said["outage"] < 5
    assert not marker.exists()
    assert restorer.rows(STRIPS) == before
    assert restorer.rows(STRIPS, said["previous"]) == changed
    [saved] = said["safety"]
    assert saved.startswith("db/before-restore/")
    stored = restorer.server.keys()
    assert saved in stored
    assert restorer.application.database.password not in done.stdout + done.stderr

    # With CREATEDB the role needs nobody; from fixtures; beside.
    restorer.application.database.cluster.execute(f"ALTER ROLE {restorer.application.database.user} CREATEDB")
    copy = f"{restorer.live}_copy"
    done = restorer.run(key, "--source", "fixtures", "--target", copy, admin=False)
    assert "proven: fixtures of 5 apps" in done.stdout
    assert stages_of(done.stderr) == ["create", "load", "settle"]
    assert restorer.rows(STRIPS, copy) == before
    assert restorer.rows(STRIPS) == before
    again = restorer.run(key, "--source", "fixtures", "--target", copy, admin=False, check=False)
    assert again.returncode == 9
    assert "is there already" in again.stderr


def test_part_of_it_into_the_live_database_is_all_or_nothing(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    strips, users = restorer.rows(STRIPS), restorer.rows(USERS)
    restorer.rows(RENAME)
    restorer.application.change()
    restorer.rows("UPDATE auth_user SET first_name = 'kept' WHERE id = (SELECT max(id) FROM auth_user)")
    kept, changed = restorer.rows(USERS), restorer.rows(STRIPS)
    assert (kept, changed) != (users, strips)

    # A constraint that the archive's rows break, at the very end: nothing is changed.
    last = strips[-1][0]
    restorer.rows(f"ALTER TABLE checkouts_airstrip ADD CONSTRAINT odd CHECK (id <> {last}) NOT VALID")
    failed = restorer.run(key, "--source", "fixtures", "--apps", "checkouts", "--live", check=False)
    assert failed.returncode == 4, failed.stderr
    assert '"odd"' in failed.stderr
    assert restorer.rows(STRIPS) == changed
    restorer.rows("ALTER TABLE checkouts_airstrip DROP CONSTRAINT odd")

    # What is loaded becomes something else on the way: found before it counts.
    restorer.rows(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$"
    )
    # It stays on during the load: only such a trigger could fill a column that no model knows.
    restorer.rows("ALTER TABLE checkouts_airstrip ADD COLUMN unknown text")
    restorer.rows("CREATE TRIGGER shout BEFORE INSERT ON checkouts_airstrip FOR EACH ROW EXECUTE FUNCTION shout()")
    failed = restorer.run(key, "--source", "fixtures", "--apps", "checkouts", "--live", check=False)
    assert failed.returncode == 10, failed.stderr
    assert "the fixture of checkouts" in failed.stderr
    assert restorer.rows(STRIPS) == changed
    restorer.rows("DROP TRIGGER shout ON checkouts_airstrip")
    restorer.rows("ALTER TABLE checkouts_airstrip DROP COLUMN unknown")

    done = restorer.run(key, "--source", "fixtures", "--apps", "checkouts", "--live")
    assert "proven: fixtures of 1 apps" in done.stdout
    assert stages_of(done.stderr) == ["save", "replace"]
    assert restorer.rows(STRIPS) == strips
    assert restorer.rows(USERS) == kept
    stored = restorer.server.keys()
    assert any("before-restore" in each for each in stored)
    refused = restorer.run(key, "--source", "sql", "--live", check=False)
    assert refused.returncode == 3

    # Somebody writes between the safety backup and the lock.
    engine = (
        "import sys; from pathlib import Path; from checkniner_backups.backup import safety;"
        "from checkniner_backups.settings import from_environment;"
        "from checkniner_backups.system.environment_file import read_environment_file;"
        "settings = from_environment(read_environment_file(Path(sys.argv[1])));"
        "safety.check_unchanged(settings, ['checkouts_airstrip'])"
    )
    argv = [restorer.server.command.with_name("python"), "-c", engine, restorer.server.environment_file]
    found = restorer.application.owner.run(argv, check=False)
    assert "somebody has written since the safety backup" in found.stderr


def test_a_part_that_refers_to_what_is_another_row_now_is_refused(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    strips = restorer.rows(STRIPS)
    [[pilot]] = restorer.rows("SELECT min(pilot_id) FROM checkouts_checkout")
    part = (key, "--source", "fixtures", "--apps", "checkouts", "--live")
    # Nobody in the archive's part refers to this one: who that is does not matter.
    restorer.rows(
        'INSERT INTO auth_user SELECT (jsonb_populate_record(u, \'{"id": 9999, "username": "new"}\')).*'
        " FROM auth_user u LIMIT 1"
    )
    restorer.run(*part)

    restorer.rows(f"UPDATE auth_user SET username = 'another' WHERE id = {pilot}")
    restorer.rows("UPDATE checkouts_airstrip SET name = 'Wrong'")
    changed = restorer.rows(STRIPS)
    refused = restorer.run(*part, check=False)
    assert refused.returncode == 9, refused.stderr
    assert f"auth.user {pilot} (another username)" in refused.stderr
    assert "apps=auth,checkouts" in refused.stderr
    assert restorer.rows(STRIPS) == changed

    restorer.run(*part, "--other-rows")
    assert restorer.rows(STRIPS) == strips


def test_an_archive_without_what_is_wanted_replaces_nothing(restorer: Restorer) -> None:
    """Of an archive without a manifest, only its members say what it holds."""
    strips, users, databases = restorer.rows(STRIPS), restorer.rows(USERS), restorer.databases()
    fixtures = {f"{app}.json": restorer.application.manage("dumpdata", app).encode() for app in ("auth", "checkouts")}
    # Of a time before the app was there.
    older = restorer.lay("older.tar.gz", {"auth.json": fixtures["auth.json"], "checkniner.sql": b""})
    for where in (["--live", "--apps", "checkouts"], ["--live", "--apps", "auth,checkouts"], ["--apps", "checkouts"]):
        failed = restorer.run(older, "--source", "fixtures", *where, check=False)
        assert failed.returncode == 9, failed.stderr
        assert "the archive holds no fixture of checkouts" in failed.stderr
        assert "HINT: it holds those of auth" in failed.stderr
        assert restorer.rows(STRIPS) == strips
    # Of no app at all.
    notes = restorer.lay("notes.tar.gz", {"notes.txt": b"the fixtures are in the other archive"})
    for where in (["--live"], [], ["--live", "--apps", "checkouts"]):
        failed = restorer.run(notes, "--source", "fixtures", *where, check=False)
        assert failed.returncode == 9, failed.stderr
        assert "the archive holds no fixture" in failed.stderr
        assert "HINT: it holds those of none" in failed.stderr
    assert (restorer.rows(STRIPS), restorer.rows(USERS)) == (strips, users)
    assert restorer.databases() == databases

    # What it does hold is loaded as ever.
    restorer.rows(RENAME)
    both = restorer.lay("both.tar.gz", fixtures)
    done = restorer.run(both, "--source", "fixtures", "--apps", "checkouts", "--live")
    assert "no manifest, not proven" in done.stdout
    assert restorer.rows(STRIPS) == strips


def test_other_migrations_are_named_before_anything_is_loaded(restorer: Restorer) -> None:
    restorer.rows("INSERT INTO django_migrations (app, name, applied) VALUES ('checkouts', '0009_gone', now())")
    key = restorer.server.tick()["key"]
    migrations = restorer.application.path / "checkouts" / "migrations"
    first = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "0077_more.py").write_text(
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f"    dependencies = [('checkouts', '{first}')]\n    operations = []\n"
    )
    restorer.application.owner.own(migrations / "0077_more.py")
    failed = restorer.run(key, "--source", "fixtures", check=False)
    assert failed.returncode == 9
    assert "checkouts.0077_more only here; checkouts.0009_gone only there" in failed.stderr
    assert "source=sql" in failed.stderr
    assert restorer.databases() == {restorer.live}
    done = restorer.run(key, "--source", "fixtures", "--other-migrations", "--target", f"{restorer.live}_other")
    assert "proven" in done.stdout


def test_room_for_a_second_copy_is_seen_before_loading(cluster: Cluster) -> None:
    dsn = parse_url(cluster.admin_url())
    with connect(dsn) as connection:
        assert lacking_disk_space(connection, {"size": 4096}) == []
        [problem] = lacking_disk_space(connection, {"size": 10**18})
    assert "1,000,000,000,000,000,000 bytes" in problem
    assert str(cluster.data) in problem
    with pytest.raises(RestoreError, match="needs about"):
        Databases(dsn, "roomy").create("postgres", {"size": 10**18}, ())


def test_rows_that_no_model_has_are_said_to_be_in_the_sql_alone(restorer: Restorer) -> None:
    role = restorer.application.database.user
    for name in ("legacy", '"Legacy orders"', "empty"):
        restorer.rows(f"CREATE TABLE {name} (id integer)")
        restorer.rows(f"ALTER TABLE {name} OWNER TO {role}")
    restorer.rows('INSERT INTO "Legacy orders" SELECT 1')
    restorer.rows("INSERT INTO legacy SELECT 1")
    key = restorer.server.tick()["key"]
    done = restorer.run(key, "--source", "fixtures")
    told = "in the archive's SQL alone, for no model has them: rows of "
    assert "proven: fixtures of 5 apps" in done.stdout
    assert told + 'public."Legacy orders", public.legacy' in done.stdout
    assert "empty" not in done.stdout
    assert told not in restorer.run(key, "--source", "sql").stdout
