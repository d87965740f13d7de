"""Every input that is wrong gets one clear message with a hint and its exit status; nothing is uploaded or changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
from checkniner_backups.django_app import environment as application
from checkniner_backups.errors import SettingsError

from sandbox.application import Application
from sandbox.keys import Keyring
from sandbox.object_store import ObjectStore
from sandbox.owner import Account
from sandbox.postgres import Cluster
from sandbox.server import Server
from tests import wrong_inputs as wrong
from tests.plugins.application import TEMPLATE
from tests.plugins.keys import Keys
from tests.plugins.postgres import fresh_database
from tests.wrong_inputs import World

BUCKET = "wrong-inputs"


@pytest.fixture(scope="module")
def world(  # noqa: PLR0917 (fixtures)
    cluster: Cluster,
    owner: Account,
    application_template: Application,
    engine: Path,
    s3_server: ObjectStore,
    keys: Keys,
) -> Iterator[World]:
    s3_server.create_bucket(BUCKET)
    s3_server.create_bucket("empty-bucket")
    with (
        fresh_database(cluster, template=TEMPLATE) as database,
        Application(database.url, owner=owner, packages_of=application_template.virtualenv) as installed,
        Keyring() as keyring,
    ):
        state = installed.folder / "state"
        state.mkdir(mode=0o700)
        owner.own(state)
        server = Server(installed, engine, s3_server, BUCKET, state)
        server.set_up(keys.plain, keys.keyring.export_public(keys.plain))
        assert server.tick()["saved"]
        database.execute("INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES ('NEW', 'New', false)")
        yield World(server, database, keyring)


def picture(world: World) -> tuple[object, ...]:
    """What must not change: the bucket, the memory, the archives that were uploaded; and no plaintext may stay.

    Of those that could not be uploaded, the newest stays, and no other: a long failure must not fill the disk.
    """
    state = world.server.state_path
    last = world.server.state()["key"].removeprefix("db/")
    names = sorted(path.name for path in (state / "archives").iterdir() if path.name[0] == "2")
    assert len([name for name in names if name > last]) <= 1
    archives = [name for name in names if name <= last]
    left = sorted(path.name for path in state.iterdir() if path.name not in ("gnupg", "archives", "pending"))
    digest = hashlib.sha256((state / "state.json").read_bytes()).hexdigest()
    return world.server.keys(), digest, archives, left


Case = tuple[Callable[[World], CompletedProcess[str]], int, str, str]
CASES: list[Case] = [
    (wrong.no_bucket, 7, "no-such-bucket", "bucket"),
    (wrong.wrong_secret, 7, "", "secret"),
    (wrong.half_a_secret, 3, "only one of S3_ACCESS_KEY and S3_SECRET_KEY", "both"),
    (wrong.no_network, 7, "127.0.0.1:9", ""),
    (wrong.unknown_recipient, 6, "0123456789ABCDEF", ""),
    (wrong.short_recipient, 3, "not a full fingerprint", "40 hex digits"),
    (wrong.no_recipient, 3, "BACKUPS_GPG_RECIPIENT is not set", "fingerprint"),
    (wrong.signing_key, 6, "", ""),
    (wrong.expired_key, 6, "expired", ""),
    (wrong.revoked_key, 6, "revoked", ""),
    (wrong.secret_key, 6, "private", ""),
    (wrong.another_database, 3, "not one of PostgreSQL", "PostgreSQL only"),
    (wrong.no_url, 3, "database URL", "postgresql://"),
    (wrong.wrong_password, 5, "password", "password"),
    (wrong.no_database, 5, "nonesuch", "not there"),
    (wrong.database_down, 5, "127.0.0.1", "running"),
    (wrong.old_pg_dump, 5, "pg_dump 12 is older than the server", "postgresql-client-"),
    (wrong.no_activate, 4, "/nonexistent/venv/bin/activate", "virtualenv"),
    (wrong.activate_without_url, 4, "sets no DATABASE_URL", "export DATABASE_URL"),
    (wrong.broken_application, 4, "checkniner.nonesuch", ""),
    (wrong.unknown_app, 3, "checkuots", "admin, auth, checkouts"),
    (wrong.routed_model, 3, "checkouts.pilotweight", "checkniner_backups_business_apps"),
    (wrong.closed_table, 5, "closed", "SELECT"),
    (wrong.hidden_rows, 5, "hiding", "BYPASSRLS"),
    (wrong.as_root, 3, "root", "owner"),
    (wrong.no_environment_file, 3, "/nonexistent/checkniner.env", "setup-backups.yml"),
    (wrong.no_state_folder, 3, "/nonexistent/state", "setup-backups.yml"),
    (wrong.no_archive, 7, "", ""),
    (wrong.before_the_first, 7, "2001-01-01", ""),
    (wrong.small_files, 11, "", "free"),
    (wrong.full_disk, 11, "", "free"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_one_message_a_hint_a_status_and_nothing_changed(world: World, case: Case) -> None:
    provoke, status, words, hint = case
    if provoke is wrong.as_root and os.geteuid() != 0:
        pytest.skip("nobody but root can be somebody else")
    before = picture(world)
    done = provoke(world)
    lines = [line for line in done.stderr.splitlines() if "WARNING" not in line]
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    hints = [line for line in lines if "HINT: " in line]
    assert len(hints) == 1, "one hint"
    assert hint.lower() in hints[0].lower()
    message = " ".join(lines[: lines.index(hints[0])])
    assert words.lower() in message.lower()
    for secret in ("hidden-word", "wrong-secret-value", world.database.password, *secrets_of(world)):
        assert secret not in done.stdout + done.stderr
    assert done.stdout == ""
    assert picture(world) == before


def secrets_of(world: World) -> list[str]:
    identity = world.server.store.identities["server"]
    return [identity.secret_key, world.server.application.environment["SECRET_KEY"]]


def test_postgres_is_refused_as_root_is(monkeypatch: pytest.MonkeyPatch) -> None:
    account = SimpleNamespace(pw_name="postgres")
    monkeypatch.setattr(application.os, "geteuid", lambda: 4711)
    monkeypatch.setattr(application.pwd, "getpwuid", lambda _: account)
    with pytest.raises(SettingsError, match="must not do so as postgres"):
        application.check_user()


def test_afterwards_everything_works(world: World) -> None:
    before = world.server.keys()
    saved = json.loads(world.server.run("run", "--json").stdout)
    assert saved["saved"]
    assert len(world.server.keys()) == len(before) + 1
