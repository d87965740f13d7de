"""The newest archive in the store is what a restore takes: what a tick does where it may not be the remembered one."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

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


def in_hours(hours: float) -> str:
    """Return the key of an archive that is stamped so many hours from now."""
    return f"db/{datetime.now(timezone.utc) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}.tar.gz.gpg"


@pytest.mark.parametrize("hours", [0.1, 20])
def test_another_server_below_the_same_prefix_is_seen_and_told(
    server: Server, application: RunningApplication, keys: Keys, hours: float
) -> None:
    own = server.tick()["key"]
    strange = in_hours(hours)
    copied(server, own, strange)
    assert not server.tick()["saved"]  # it is looked for every hour
    server.write_environment(CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0")
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
    copied(server, own, in_hours(12))
    state = server.state_path / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"seen_in_store_at": 0.0}))  # an hour later
    archives = server.state_path / "archives"
    archives.chmod(0o500)
    failed = server.run("run", check=False)
    archives.chmod(0o700)
    assert failed.returncode == 11
    assert server.run("run", check=False).returncode == 15
    assert newest(server, keys, application) == truth(application)


@pytest.mark.parametrize("year", ["2041", "9999"])
def test_an_archive_of_the_future_is_told_and_stops_nothing(
    server: Server, application: RunningApplication, keys: Keys, year: str
) -> None:
    first = server.tick()["key"]
    planted = f"db/{year}-12-31T23:59:59.tar.gz.gpg"
    copied(server, first, planted)
    (server.state_path / "archives" / planted.removeprefix("db/")).write_bytes(b"")  # somebody fetched it
    server.write_environment(CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0")
    for changed in (False, True):
        if changed:
            application.change()
        done = server.run("run", check=False)
        assert done.returncode == 15, done.stderr
        assert planted in done.stderr
        assert len(server.keys()) == 2 + changed
    ours = server.keys()[-2]
    assert first < ours < in_hours(1)
    assert json.loads((server.state_path / "state.json").read_text())["key"] == ours
    server.store.client().delete_object(Bucket=server.bucket, Key=planted)
    assert not server.tick()["saved"]
    assert newest(server, keys, application) == truth(application)
    application.database.execute("UPDATE checkouts_airstrip SET name = 'Once more'")
    assert server.tick()["key"] < in_hours(1)


def test_a_new_server_is_not_kept_from_saving_by_an_archive_of_the_future(server: Server) -> None:
    body = {"Bucket": server.bucket, "Key": "db/9999-12-31T23:59:59.tar.gz.gpg", "Body": b"planted"}
    server.store.client().put_object(**body)
    assert server.tick()["key"] < in_hours(1)
    clean = server.run("clean", check=False)
    assert clean.returncode == 0, clean.stderr


def test_an_archive_that_a_fast_clock_named_and_the_store_refused_moves_no_later_one(
    server: Server, application: RunningApplication
) -> None:
    first = server.tick()["key"]
    folder = server.state_path / "archives"
    (folder / first.removeprefix("db/")).rename(folder / in_hours(2 / 3).removeprefix("db/"))
    application.change()
    assert first < server.tick()["key"] < in_hours(1 / 60)


def test_a_clock_that_was_fast_once_is_told_and_a_time_finds_what_was_the_newest_then(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """The store has taken an archive of a clock ten minutes ahead: the next ones are named after it."""
    first = server.tick()["key"]
    fast = in_hours(1 / 6)
    copied(server, first, fast)
    state = server.state_path / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"key": fast}))
    application.change()
    began = datetime.now(timezone.utc)
    done = server.run("run", check=False)
    assert done.returncode == 0, done.stderr
    assert "ahead of this machine's clock" in done.stderr
    later = server.keys()[-1]
    assert fast < later < in_hours(1 / 6 + 0.05)
    assert newest(server, keys, application) == truth(application)

    now = datetime.now(timezone.utc) + timedelta(seconds=1)
    asked = server.run("fetch", "--at", f"{now:%Y-%m-%d %H:%M:%S}Z", "--to", str(server.state_path), check=False)
    assert later in asked.stdout + asked.stderr, asked
    created = server.store.client().head_object(Bucket=server.bucket, Key=later)["Metadata"]["created"]
    assert began - timedelta(seconds=1) <= datetime.fromisoformat(created) <= now


def test_an_archive_that_nobody_could_compare_is_told_by_status_and_check(server: Server) -> None:
    server.tick()
    state = server.state_path / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"verified": False}))
    for command in ("status", "check"):
        done = server.run(command, check=False)
        assert "is what was sent cannot be known" in done.stdout, done


def test_clean_waits_for_a_tick_to_end(server: Server) -> None:
    server.tick()
    with (server.state_path / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = threading.Timer(2, fcntl.flock, (file, fcntl.LOCK_UN))
        done.start()
        cleaned = server.run("clean", check=False)
        done.join()
    assert cleaned.returncode == 0, cleaned.stderr
