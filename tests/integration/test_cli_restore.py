"""`checkniner-backups restore`, by the owner on the server: in place, beside, in part; refusals, and kills."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.gpg import session_key
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.room import lacking_room
from checkniner_backups.postgres.session import connect
from checkniner_backups.swap import Databases

from sandbox.postgres import Cluster
from sandbox.server import Server
from tests.archives import archive, entry, tar
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys

ADMIN_URL = "CHECKNINER_BACKUPS_ADMIN_DATABASE_URL"
RENAME = "UPDATE checkouts_airstrip SET name = 'Changed' WHERE id = (SELECT min(id) FROM checkouts_airstrip)"


@dataclass(frozen=True)
class Restorer:
    """The owner with an archive on the server and its session key."""

    server: Server
    application: RunningApplication
    keys: Keys

    @property
    def live(self) -> str:
        return self.application.database.name

    def fetch(self, key: str) -> tuple[Path, str]:
        path = self.application.installed.folder / Path(key).name
        path.write_bytes(self.server.store.client().get_object(Bucket=self.server.bucket, Key=key)["Body"].read())
        self.application.owner.own(path)
        return path, session_key(path, self.keys.keyring.home)

    def argv(self, *arguments: str | Path) -> list[str | Path]:
        return [self.server.command, "--environment", self.server.environment_file, "restore", *arguments]

    def lay(self, name: str, members: dict[str, bytes]) -> Path:
        """Lay an archive without a manifest on the server, unencrypted."""
        path = self.application.installed.folder / name
        path.write_bytes(archive(members))
        self.application.owner.own(path)
        return path

    def run(self, key: str | Path, *arguments: str, admin: bool = True, check: bool = True) -> CompletedProcess[str]:
        path, secret = (key, "none") if isinstance(key, Path) else self.fetch(key)
        environment = {ADMIN_URL: self.application.database.cluster.admin_url()} if admin else {}
        return self.application.owner.run(
            self.argv("--file", path, "--session-key-fd", "0", "--yes", *arguments),
            environment=environment,
            input=secret,
            check=check,
        )

    def databases(self) -> set[str]:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        return {row[0] for row in self.application.database.cluster.execute(query, [self.live])}

    def rows(self, query: str, database: str = "") -> Any:
        return self.application.database.cluster.execute(query, database=database or self.live)


@pytest.fixture
def restorer(server: Server, application: RunningApplication, keys: Keys) -> Restorer:
    return Restorer(server, application, keys)


STRIPS = "SELECT id, ident, name FROM checkouts_airstrip ORDER BY id"
USERS = "SELECT id, first_name FROM auth_user ORDER BY id"


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
    assert restorer.rows(STRIPS, copy) == before
    assert restorer.rows(STRIPS) == before
    again = restorer.run(key, "--source", "fixtures", "--target", copy, admin=False, check=False)
    assert again.returncode == 9
    assert "is there already" in again.stderr


def test_a_command_that_fails_after_the_swap_hides_nothing(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    before = restorer.rows(STRIPS)
    restorer.application.change()
    failed = restorer.run(key, "--source", "sql", "--after", "false", check=False)
    assert failed.returncode == 4
    assert f"the data are restored: {restorer.live} is live" in failed.stderr
    assert f"{restorer.live}_before_" in failed.stderr
    assert "false ended with status 1" in failed.stderr
    assert restorer.rows(STRIPS) == before

    # Before the swap, it is the failure itself that counts.
    failed = restorer.run(key, "--source", "sql", "--before", "false", "--after", "false", check=False)
    assert failed.returncode == 4
    assert "the data are restored" not in failed.stderr
    assert restorer.rows(STRIPS) == before


def test_a_command_that_fails_hides_no_other_error(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    strips = restorer.rows(STRIPS)
    restorer.rows(RENAME)
    changed = restorer.rows(STRIPS)
    asked = ("--source", "fixtures", "--apps", "checkouts", "--live")
    failed = restorer.run(key, *asked, "--after", "true", "--after", "false", check=False)
    assert failed.returncode == 4
    assert f"the data are restored: the rows of checkouts in {restorer.live} were replaced; but afterwards" in (
        failed.stderr
    )
    assert "false ended with status 1" in failed.stderr
    assert restorer.rows(STRIPS) == strips

    # What went wrong first is the error.
    restorer.rows(RENAME)
    notes = restorer.lay("notes.tar.gz", {"notes.txt": b""})
    failed = restorer.run(notes, *asked, "--after", "false", check=False)
    assert failed.returncode == 9, failed.stderr
    assert "holds no fixture of checkouts" in failed.stderr
    assert "afterwards false ended with status 1" in failed.stderr
    failed = restorer.run(key, *asked, "--before", "sh -c 'exit 3'", "--after", "false", check=False)
    assert "ERROR sh ended with status 3" in failed.stderr
    assert restorer.rows(STRIPS) == changed
    with failing_swap(restorer) as slot:
        failed = restorer.run(key, "--source", "sql", "--after", "false", check=False)
    assert failed.returncode == 9, failed.stderr
    assert slot in failed.stderr
    assert restorer.databases() == {restorer.live}


@contextmanager
def failing_swap(restorer: Restorer) -> Iterator[str]:
    """While this lasts, the live database cannot be left."""
    slot = f"slot_{restorer.live}"
    restorer.rows(f"SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')")
    try:
        yield slot
    finally:
        restorer.rows(f"SELECT pg_drop_replication_slot('{slot}')")


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
    restorer.rows("CREATE TRIGGER shout BEFORE INSERT ON checkouts_airstrip FOR EACH ROW EXECUTE FUNCTION shout()")
    failed = restorer.run(key, "--source", "fixtures", "--apps", "checkouts", "--live", check=False)
    assert failed.returncode == 10, failed.stderr
    assert "the fixture of checkouts" in failed.stderr
    assert restorer.rows(STRIPS) == changed
    restorer.rows("DROP TRIGGER shout ON checkouts_airstrip")

    done = restorer.run(key, "--source", "fixtures", "--apps", "checkouts", "--live")
    assert "proven: fixtures of 1 apps" in done.stdout
    assert restorer.rows(STRIPS) == strips
    assert restorer.rows(USERS) == kept
    stored = restorer.server.keys()
    assert any("before-restore" in each for each in stored)
    refused = restorer.run(key, "--source", "sql", "--live", check=False)
    assert refused.returncode == 3

    # Somebody writes between the safety backup and the lock.
    engine = (
        "import sys; from pathlib import Path; from checkniner_backups import safety;"
        "from checkniner_backups.settings import from_environment, read_environment_file;"
        "settings = from_environment(read_environment_file(Path(sys.argv[1])));"
        "safety.check_unchanged(settings, ['checkouts_airstrip'])"
    )
    argv = [restorer.server.command.with_name("python"), "-c", engine, restorer.server.environment_file]
    found = restorer.application.owner.run(argv, check=False)
    assert "somebody has written since the safety backup" in found.stderr


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


def test_a_kill_in_the_middle_changes_nothing_and_the_next_restore_cleans_up(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    before = restorer.rows(STRIPS)
    sql = b"CREATE TABLE secret_plaintext (a int);\nSELECT pg_sleep(120);\n-- PostgreSQL database dump complete\n"
    path = restorer.application.installed.folder / "slow.tar.gz"
    path.write_bytes(gzip.compress(tar([entry("checkniner.sql", sql)])))
    restorer.application.owner.own(path)
    owner = restorer.application.owner
    process = subprocess.Popen(
        [str(word) for word in restorer.argv("--file", path, "--source", "sql", "--yes")],
        env={"PATH": "/usr/bin:/bin", ADMIN_URL: restorer.application.database.cluster.admin_url()},
        cwd="/",
        stderr=subprocess.DEVNULL,
        **owner.options(),
    )
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(120)%'"
    deadline = time.monotonic() + 60
    while not restorer.rows(sleeping):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = restorer.databases() - {restorer.live}
    assert len(left) == 1
    assert restorer.rows(STRIPS) == before
    state = restorer.application.state_path
    scratch = state / ".scratch-killed"
    scratch.mkdir(mode=0o700)
    (scratch / "file").write_text("left")
    subprocess.run(["touch", "-d", "2 hours ago", scratch], check=True)
    owner.own(scratch)
    for file in (each for each in state.rglob("*") if each.is_file()):
        assert b"secret_plaintext" not in file.read_bytes()

    restorer.run(key, "--source", "sql")
    assert not left & restorer.databases()
    assert not scratch.exists()
    assert restorer.rows(STRIPS) == before


def test_nobody_is_asked_where_nobody_is(restorer: Restorer) -> None:
    refused = restorer.application.owner.run(
        restorer.argv("--file", "/nonexistent", "--source", "sql"),
        environment={ADMIN_URL: restorer.application.database.cluster.admin_url()},
        check=False,
    )
    assert refused.returncode == 3
    assert f"the whole of the database {restorer.live}" in refused.stderr
    assert "--yes" in refused.stderr


def test_room_for_a_second_copy_is_seen_before_loading(cluster: Cluster) -> None:
    dsn = parse_url(cluster.admin_url())
    with connect(dsn) as connection:
        assert lacking_room(connection, {"size": 4096}) == []
        [problem] = lacking_room(connection, {"size": 10**18})
    assert "1,000,000,000,000,000,000 bytes" in problem
    assert str(cluster.data) in problem
    with pytest.raises(RestoreError, match="needs about"):
        Databases(dsn, "roomy").create("postgres", {"size": 10**18}, ())
