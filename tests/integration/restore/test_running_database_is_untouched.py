"""A restore that fails leaves the running database as it was; one that succeeds loses no committed write."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from sandbox.server import Server
from tests.archives import archive
from tests.owner_side import as_engine
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import Restorer, digest_of, names_of, old_archive, restorer

pytestmark = pytest.mark.late("signals are sent into the middle of a restore")

__all__ = ["restorer"]

SAVE_BEFORE = """
from checkniner_backups.backup import safety
saved = safety.save_before(settings())
result = {"key": saved.key, "reason": saved.reason}
"""
SAVE_BETWEEN = """
from checkniner_backups.backup import safety
saved = safety.save_between(settings(), given["replaced"])
result = {"key": saved.key, "reason": saved.reason}
"""


def plain(restorer: Restorer) -> dict[str, bytes]:
    """Return the members of the archive, decrypted."""
    data = restorer.keyring.gpg("--decrypt", str(restorer.path))
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as opened:
        files = {entry.name: opened.extractfile(entry) for entry in opened}
        return {name: file.read() for name, file in files.items() if file}


def cut(restorer: Restorer) -> None:
    restorer.path.write_bytes(restorer.path.read_bytes()[:-2000])


def flipped(restorer: Restorer) -> None:
    data = bytearray(restorer.path.read_bytes())
    data[-3000] ^= 1
    restorer.path.write_bytes(bytes(data))


def another_member(restorer: Restorer) -> None:
    members = plain(restorer)
    name = next(name for name in members if name.endswith(".sql"))
    members[name] = members[name].replace(b"\nCOPY ", b"\n\nCOPY ", 1)
    restorer.put("other.tar.gz", archive(members))


def lying_manifest(restorer: Restorer) -> None:
    members = plain(restorer)
    manifest = json.loads(members["manifest.json"])
    next(each for each in manifest["tables"] if each["name"] == "auth_user")["rows"] += 1
    members["manifest.json"] = json.dumps(manifest).encode()
    restorer.put("lying.tar.gz", archive(members))


def cut_in_the_middle_of_gzip(restorer: Restorer) -> None:
    data = archive(plain(restorer))
    restorer.put("cut.tar.gz", data[: len(data) // 2])


FAULTS: list[tuple[Callable[[Restorer], None], str, str]] = [
    (cut, "ArchiveError", ""),
    (flipped, "ArchiveError", ""),
    (another_member, "ArchiveError", ""),
    (lying_manifest, "VerificationError", "auth_user"),
    (cut_in_the_middle_of_gzip, "ArchiveError", ""),
]


def test_no_fault_of_an_archive_reaches_the_live_database(restorer: Restorer) -> None:
    before, whole = digest_of(restorer.database), restorer.path
    content, facts, key = whole.read_bytes(), restorer.metadata(), restorer.session_key
    for spoil, kind, words in FAULTS:
        restorer.path = whole
        whole.write_bytes(content)
        spoil(restorer)
        for source in ["sql", "fixtures"] if spoil is cut_in_the_middle_of_gzip else ["sql"]:
            new = restorer.databases.create(restorer.database.user, facts, ()).database
            failed = restorer.load(new, source, key=key)
            kinds = {kind, "EncryptionError"} if restorer.path.suffix == ".gpg" else {kind}
            assert failed.get("error") in kinds, (spoil.__name__, source, failed)
            assert words in failed["message"]
            assert failed["hint"], failed
            restorer.databases.drop(new, None)
            assert names_of(restorer.database) == {restorer.database.name}
    assert digest_of(restorer.database) == before


@pytest.mark.parametrize(("source", "victim"), [("sql", "psql"), ("fixtures", "checkniner-worker")])
def test_who_loads_is_killed(restorer: Restorer, source: str, victim: str) -> None:
    before = digest_of(restorer.database)
    new = restorer.create()
    # It waits here, at the first sequence, until it is killed.
    with psycopg.connect(restorer.database.cluster.admin_url(new)) as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE pg_catalog.pg_sequence IN ACCESS EXCLUSIVE MODE")
        killer = threading.Thread(target=kill, args=(victim, restorer, new))
        killer.start()
        try:
            failed = restorer.load(new, source)
        finally:
            killer.join()
    assert failed["error"] in ("DatabaseError", "ApplicationError", "RestoreError"), failed
    assert failed["hint"]
    restorer.databases.drop(new, None)
    assert digest_of(restorer.database) == before
    assert not list(restorer.server.state_path.glob(".scratch*"))


def kill(victim: str, restorer: Restorer, database: str) -> None:
    """When somebody waits in this database, kill the loader: psql, or a process of the application."""
    waiting = "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE NOT granted AND datname = %s"
    end = time.monotonic() + 60
    while not restorer.database.cluster.execute(waiting, (database,)):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.02)
    found = list(loaders(victim, str(restorer.server.application.folder)))
    assert found, f"no {victim} was seen"
    for number in found:
        os.kill(number, signal.SIGKILL)


def loaders(victim: str, folder: str) -> Iterator[int]:
    """Yield the numbers of such processes: psql is known by the variables of its connection."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            ours = folder.encode() in (entry / "environ").read_bytes() + b" ".join(words)
        except OSError:
            continue
        if victim == "psql":
            found = words[0].endswith(b"/psql") and b"ON_ERROR_STOP=1" in words
        else:
            found = ours and (b"migrate" in words or b"checkniner-worker" in b" ".join(words))
        if found:
            yield int(entry.name)


def test_no_committed_write_ends_up_nowhere(restorer: Restorer, application: RunningApplication) -> None:
    server, database = restorer.server, restorer.database
    new = restorer.create()
    assert restorer.load(new)["proven"]

    def engine(code: str, **given: str) -> dict[str, str]:
        owner = server.application.owner
        return dict(as_engine(owner, server.command, code, environment_file=str(server.environment_file), **given))

    remembered = server.state()
    first = engine(SAVE_BEFORE)
    assert first["key"].startswith("db/before-restore/")
    application.change()  # a writer that nobody had stopped
    swapped = restorer.swap(new)
    lost = digest_of(database, swapped.previous)
    second = engine(SAVE_BETWEEN, replaced=swapped.previous)
    assert second["key"] > first["key"]
    assert second["key"].startswith("db/before-restore/")
    assert server.state() == remembered
    assert engine(SAVE_BETWEEN, replaced=swapped.previous)["key"] == "", "it is saved already"
    # What was saved in between is what was there, and can be restored as any archive.
    restorer.fetch(second["key"])
    copy = restorer.create()
    assert restorer.load(copy)["proven"]
    assert digest_of(database, copy) == lost
    # The newest archive is still the one of the tick: nobody restores what he has just replaced by mistake.
    newest = server.run("list", "--json").stdout
    assert "before-restore" not in newest
    assert "nothing to save" in engine_without_database(restorer)


def engine_without_database(restorer: Restorer) -> str:
    """A database that is gone has nothing to save, and says so."""
    application = restorer.server.application
    application.environment["DATABASE_URL"] = restorer.database.cluster.url(
        "gone", restorer.database.user, restorer.database.password
    )
    application.write_activate()
    file = str(restorer.server.environment_file)
    return str(as_engine(application.owner, restorer.server.command, SAVE_BEFORE, environment_file=file)["reason"])


@pytest.mark.parametrize("source", ["sql", "fixtures"])
def test_archives_of_the_old_scripts(server: Server, application: RunningApplication, keys: Keys, source: str) -> None:
    restorer = Restorer(server, application.database, keys.keyring)
    body = old_archive(server, keys.keyring, keys.plain.fingerprint)
    server.store.client().put_object(Bucket=server.bucket, Key="db/2016-05-01T12:00:05.tar.gz.gpg", Body=body)
    restorer.fetch("db/2016-05-01T12:00:05.tar.gz.gpg")
    before = digest_of(application.database)
    # Some apps alone: what they refer to by id, the archive's other members tell.
    if source == "fixtures":
        part = restorer.load(restorer.create(), source, ("auth", "checkouts"))
        assert part.get("proven") is False, part
    new = restorer.create()
    loaded = restorer.load(new, source)
    assert loaded.get("proven") is False, loaded
    assert "no manifest, not proven" in loaded["words"]
    after = digest_of(application.database, new)
    compared = {name for name in before if source == "sql" or name.startswith("public.checkouts")}
    assert len(compared) > 3
    assert {name: after[name] for name in compared} == {name: before[name] for name in compared}
    # Django's JSON cuts microseconds to milliseconds, so users' times of joining differ there: their keys do not.
    users = "SELECT id, username, password FROM auth_user ORDER BY id"
    cluster = application.database.cluster
    assert cluster.execute(users, database=new) == application.database.execute(users)
    restorer.swap(new)
    # Sequences are ahead of the keys, and permissions point at the right things.
    code = (
        "from django.contrib.auth.models import User, Permission; from checkouts.models import Airstrip;"
        "User.objects.create_user('new'); Airstrip.objects.create(ident='ZZ9', name='new', is_base=False);"
        "print(all(p.codename.endswith('_' + p.content_type.model) for p in Permission.objects.all()))"
    )
    assert application.shell(code).strip() == "True"
