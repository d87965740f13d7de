"""What lies in the state folder, in the bucket, in an archive or in the settings is not what it should be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.plugins.faulty import Faulty
from tests.restore_command import ADMIN_URL
from tests.ticking import truth

from .test_killed_restores import fetched


def _flipped(share: int, body: bytes) -> bytes:
    at = min(len(body) * share // 100, len(body) - 1)
    return body[:at] + bytes([body[at] ^ 4]) + body[at + 1 :]


def _zeroed(share: int, body: bytes) -> bytes:
    at = len(body) * share // 100
    return body[:at] + bytes(len(body) - at)


GARBAGE = {
    "nothing": b"",
    "half of it": b'{"version": 1, "at": 17',
    "another version": b'{"version": 999}',
    "no object": b"[]",
    "numbers for texts": b'{"version": 1, "key": 5, "at": "x", "status": "y", "good_at": null}',
    "bytes": bytes(range(256)),
    "a deep nest": b"[" * 20_000,
    "infinity": b'{"version": 1, "at": Infinity, "status": 1e999}',
}
FILES = ("state.json", "last_tick.json", "rehearsal.json", "pending", "signing_key.pub")
KEYS = (
    "9999-12-31T23:59:59.tar.gz.gpg",
    "0001-01-01T00:00:00.tar.gz.gpg",
    "2026-02-30T00:00:00.tar.gz.gpg",
    "2026-11-25T25:61:61.tar.gz.gpg",
    "2026-11-25T12:00:00.tar.gz.gpg.part",
    "2026-11-25T12:00:00.tar.gz.gpg/",
    "2026-11-25T12:00:00",
    "latest.tar.gz.gpg",
    "2-",
    "2026-11-25T12:00:00\u202e.tar.gz.gpg",
    "\u2029\u0085.tar.gz.gpg",
    "drills/2026-11-25T12:00:00.json",
    "before-restore/2099-11-25T12:00:00.tar.gz.gpg",
)
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "one byte": lambda body: body[:1],
    "its first packet": lambda body: body[:400],
    "a third": lambda body: body[: len(body) // 3],
    "all but the last byte": lambda body: body[:-1],
    "all but the last packet": lambda body: body[:-40],
    "a byte more": lambda body: body + b"\0",
    "twice": lambda body: body + body,
    **{f"a flipped bit at {share} %": partial(_flipped, share) for share in (0, 1, 3, 10, 25, 50, 75, 90, 97, 99)},
    **{f"zeros from {share} %": partial(_zeroed, share) for share in (5, 40, 80, 98)},
}
SETTINGS = {
    "no such bucket": {"S3_BUCKET_NAME": "nowhere"},
    "no such endpoint": {"CHECKNINER_BACKUPS_S3_ENDPOINT_URL": "http://127.0.0.1:9"},
    "no endpoint at all": {"CHECKNINER_BACKUPS_S3_ENDPOINT_URL": "ftp://example.org"},
    "a wrong secret": {"S3_SECRET_KEY": "wrong"},
    "a key that is not there": {"BACKUPS_GPG_RECIPIENT": "0" * 40},
    "no fingerprint": {"BACKUPS_GPG_RECIPIENT": "me@example.org"},
    "no such application": {"CHECKNINER_BACKUPS_APPLICATION_PATH": "/nowhere"},
    "no such virtualenv": {"CHECKNINER_BACKUPS_VIRTUALENV": "/nowhere"},
    "no such app": {"CHECKNINER_BACKUPS_BUSINESS_APPS": "auth,chekouts"},
    "no such field": {"CHECKNINER_BACKUPS_IGNORED_FIELDS": "auth.user.last_loggin"},
    "a database that is not there": {"CHECKNINER_BACKUPS_DATABASE_URL": "postgres://nobody:x@127.0.0.1:9/nowhere"},
    "no number": {"CHECKNINER_BACKUPS_LOCK_TIMEOUT": "soon"},
    "a prefix that is none": {"CHECKNINER_BACKUPS_S3_PREFIX": "/"},
}
pytestmark = pytest.mark.timeout(200)


@pytest.mark.pair(2, fault="garbage", place="file")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_damaged_memory_costs_an_archive_too_many_at_most(faulty: Faulty, garbage: str, file: str) -> None:
    faulty.change()
    path = faulty.application.state_path / file
    kept = path.read_bytes() if path.exists() else None
    path.write_bytes(GARBAGE[garbage])
    faulty.application.owner.own(path)
    done = faulty.run({}, "run")
    if kept is not None and file == "signing_key.pub":
        path.write_bytes(kept)
    elif file == "rehearsal.json":
        path.unlink()
    faulty.check(done, 0)


@pytest.mark.pair(14, fault="a key in the bucket", place="key")
@pytest.mark.parametrize("key", KEYS)
def test_what_else_lies_in_the_bucket(faulty: Faulty, key: str) -> None:
    faulty.server.write_environment(CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0")
    faulty.change()
    client, place = faulty.server.store.client(), {"Bucket": faulty.server.bucket, "Key": f"db/{key}"}
    client.put_object(**place, Body=b"laid here by somebody")
    try:
        done = faulty.run({}, "run")
        listed = faulty.run({}, "list")
    finally:
        client.delete_object(**place)
    assert listed.returncode == 0, listed.stderr
    assert "\u202e" not in listed.stdout + done.stderr
    faulty.check(done, 0, 15)


@pytest.mark.pair(7, fault="damage", place="archive")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_archive_is_not_restored(faulty: Faulty, damage: str) -> None:
    assert faulty.server.run("backup", "--force").returncode == 0
    archive, secret = fetched(faulty)
    whole = archive.read_bytes()
    archive.write_bytes(DAMAGE[damage](whole))
    faulty.change()
    now = truth(faulty.application)
    words = ("restore", "--file", archive, "--session-key-fd", "0", "--yes", "--source", "sql", "--unsigned")
    environment = {ADMIN_URL: faulty.application.database.cluster.admin_url()}
    done = faulty.run({}, *words, "--other-server", environment=environment, input=secret)
    assert done.returncode in (6, 8, 19), (done.returncode, done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    assert truth(faulty.application) == now
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    cluster = faulty.application.database.cluster
    found = [row[0] for row in cluster.execute(query, [faulty.application.database.name])]
    assert found == [faulty.application.database.name], "the half-made database is dropped"
    faulty.check(faulty.server.run("run", "--json", check=False), 0)


@pytest.mark.pair(9, fault="setting", place="tick")
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_setting_is_told_and_nothing_is_lost(faulty: Faulty, setting: str) -> None:
    # Each tick looks at everything again: what a tick without Django lacks is made up for at once.
    faulty.server.write_environment(CHECKNINER_BACKUPS_FULL_CHECK_EVERY="0")
    faulty.change()
    mine = dict(faulty.server.environment)
    try:
        faulty.server.write_environment(**SETTINGS[setting])
        done = faulty.run({}, "run")
    finally:
        faulty.server.environment = mine
        faulty.server.write_environment()
    assert "HINT" in done.stderr
    faulty.check(done, 3, 4, 5, 6, 7, 16)


@pytest.mark.pair(4, fault="garbage", place="environment file")
@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_damaged_environment_file(faulty: Faulty, garbage: str) -> None:
    faulty.change()
    faulty.server.environment_file.write_bytes(GARBAGE[garbage])
    try:
        done = faulty.run({}, "run")
    finally:
        faulty.server.write_environment()
    faulty.check(done, 3)
