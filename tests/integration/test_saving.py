"""The newest archive in the store is what a restore takes: what a tick does where it may not be the remembered one."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.ticking import leftovers, newest, truth


def copied(server: Server, key: str, to: str) -> None:
    """Another server saves: an archive lies under this key."""
    source = f"{server.bucket}/{key}"
    server.store.client().copy_object(Bucket=server.bucket, Key=to, CopySource=source)


def note_pending(server: Server, key: str) -> None:
    """Leave what a tick leaves that is killed during its upload."""
    pending = server.state_path / "pending"
    pending.write_text(key.removeprefix("db/"))
    server.application.owner.own(pending)


@contextmanager
def being_sent(server: Server) -> Iterator[None]:
    """Somebody is sending it now."""
    with (server.state_path / "pending").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_an_upload_that_a_kill_kept_from_being_remembered_is_not_the_last_word(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    server.tick()
    state = (server.state_path / "state.json").read_bytes()
    before = truth(application)
    application.change()
    cut_off = server.tick()["key"]
    # Killed between the store's answer and the memory; then somebody takes the change back.
    (server.state_path / "state.json").write_bytes(state)
    note_pending(server, cut_off)
    application.database.execute("DELETE FROM checkouts_airstrip WHERE name = 'Changed'")
    assert truth(application) == before
    with being_sent(server):  # a playbook sends it: nothing is known to be wrong
        assert not server.tick()["saved"]
    found = server.tick()
    assert found["saved"]
    assert "was cut off" in found["reason"]
    assert found["key"] > cut_off
    assert newest(server, keys, application) == before
    assert leftovers(server) == []
    assert not (server.state_path / "pending").exists()
    assert not server.tick()["saved"]


@pytest.mark.parametrize("clock", ["right", "years ahead"])
def test_another_server_below_the_same_prefix_is_seen_and_told(
    server: Server, application: RunningApplication, keys: Keys, clock: str
) -> None:
    own = server.tick()["key"]
    strange = f"{own.partition('T')[0] if clock == 'right' else 'db/2041-01-01'}T23:59:59.tar.gz.gpg"
    copied(server, own, strange)
    assert not server.tick()["saved"]  # it is looked for every hour
    server.write_environment(CHECKNINER_BACKUPS_STORE_LOOK_EVERY="0")
    note_pending(server, strange)
    with being_sent(server):  # by a playbook on this server: no stranger
        assert not server.tick()["saved"]
    (server.state_path / "pending").unlink()
    done = server.run("run", check=False)
    assert done.returncode == 15
    assert strange in done.stderr
    assert "checkniner_backups_s3_prefix" in done.stderr
    assert server.keys()[-1] > strange
    assert newest(server, keys, application) == truth(application)
    assert json.loads((server.state_path / "state.json").read_text())["key"] == server.keys()[-1]
    assert not server.tick()["saved"]


def test_a_stranger_is_not_forgotten_before_ours_is_the_newest(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    own = server.tick()["key"]
    copied(server, own, "db/2041-01-01T00:00:00.tar.gz.gpg")
    state = server.state_path / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"seen_in_store_at": 0.0}))  # an hour later
    archives = server.state_path / "archives"
    archives.chmod(0o500)
    failed = server.run("run", check=False)
    archives.chmod(0o700)
    assert failed.returncode == 11
    assert server.run("run", check=False).returncode == 15
    assert newest(server, keys, application) == truth(application)
