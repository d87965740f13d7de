"""What stands in a restore's way on the server is told, and the running database is untouched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from checkniner_backups.errors import DatabaseError, RestoreError
from checkniner_backups.postgres import admin
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.restore.databases import Databases

from sandbox import guard
from sandbox.owner import database_account
from tests.integration.restore.test_running_database_is_untouched import restorer
from tests.restoring import Restorer, digest_of, names_of

__all__ = ["restorer"]

SMALL = 24 << 20
"""Bytes: room for template0 and a new database, and little more."""


def test_a_session_that_the_role_may_not_end(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    database = restorer.database
    new = restorer.create()
    assert restorer.load(new)["proven"]
    before, facts = digest_of(database), restorer.metadata()
    database.cluster.execute(f"ALTER ROLE {database.user} CREATEDB")
    own = Databases(parse_url(database.url).to("postgres"), database.name)
    monkeypatch.setattr(admin, "_SWAP_LIMIT", 1.5)
    with psycopg.connect(database.cluster.admin_url(database.name)) as session:
        session.execute("SELECT 1")
        with pytest.raises(RestoreError, match=f"{database.name} could not be renamed") as caught:
            own.swap(new, facts)
        assert "sessions of postgres are connected; stop those programs" in caught.value.hint
        session.execute("SELECT 1")
    assert names_of(database) == {database.name, new}
    assert digest_of(database) == before
    own.swap(new, facts)
    assert digest_of(database) != before


def test_a_subscription(restorer: Restorer) -> None:
    database, cluster = restorer.database, restorer.database.cluster
    new = restorer.create()
    assert restorer.load(new)["proven"]
    before, name = digest_of(database), f"sub_{database.name}"
    options = "WITH (connect = false, enabled = false, slot_name = NONE)"
    cluster.execute(
        f"CREATE SUBSCRIPTION {name} CONNECTION 'host=nowhere' PUBLICATION p {options}", database=database.name
    )
    try:
        with pytest.raises(RestoreError, match=f"subscription {name}"):
            restorer.swap(new)
        assert digest_of(database) == before
    finally:
        cluster.execute(f"DROP SUBSCRIPTION {name}", database=database.name)


def test_what_refuses_a_dump_does_not_refuse_fixtures(restorer: Restorer) -> None:
    """They are Django's objects: the dump's version, roles and extensions are none of theirs."""
    database, databases = restorer.database, restorer.databases
    facts = restorer.metadata()
    untrusted = {"name": "file_fdw", "version": "1.0", "schema": "public", "trusted": False}
    facts |= {
        "server_major": 99,
        "roles": ["nobody_knows", *facts["roles"]],
        "settings": [["nobody_else_knows", "work_mem=1MB"]],
        "extensions": [untrusted, {**untrusted, "name": "not_packaged_here"}],
    }
    with pytest.raises(RestoreError, match=r"PostgreSQL 99.*nobody_else_knows.*not_packaged_here"):
        databases.create(database.user, facts, ())
    new = databases.create(database.user, facts, (), kind="fixtures").database
    loaded = restorer.load(new, "fixtures")
    assert loaded.get("proven"), loaded
    databases.drop(new, None)
    # What the application's own migrations need may still be allowed; what matters to every database is checked.
    extensions = "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"
    new = databases.create(database.user, facts, ("file_fdw",), kind="fixtures").database
    assert database.cluster.execute(extensions, database=new) == [("file_fdw",)]
    databases.drop(new, None)
    with pytest.raises(RestoreError, match="needs about"):
        databases.create(database.user, {**facts, "size": 10**18}, (), kind="fixtures")
    with pytest.raises(DatabaseError, match="xx_XX"):
        databases.create(database.user, {**facts, "lc_collate": "xx_XX"}, (), kind="fixtures")
    assert names_of(database) == {database.name}


@pytest.fixture
def small_disk(restorer: Restorer) -> Iterator[Path]:
    """Where the cluster makes new databases, while this lasts: a disk of its own, and a small one."""
    cluster, account = restorer.database.cluster, database_account()
    folder = guard.make_folder("cn-dsk", account.user_id, account.group_id)
    options = f"size={SMALL},mode=0700,uid={account.user_id},gid={account.group_id}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        guard.remove_folder(folder)
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        cluster.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        cluster.execute("ALTER DATABASE template0 SET TABLESPACE small")
        try:
            yield folder
        finally:
            for name in names_of(restorer.database) - {restorer.database.name}:
                cluster.drop_database(name)
            cluster.execute("ALTER DATABASE template0 SET TABLESPACE pg_default")
            cluster.execute("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", folder], check=True)
        guard.remove_folder(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_fills_during_the_load(restorer: Restorer, small_disk: Path) -> None:
    before = digest_of(restorer.database)
    new = restorer.create()
    restorer.database.cluster.execute("SELECT 1", database=new)  # the first one to connect writes a file, too
    filler = small_disk / "filler"
    filler.touch()
    os.chown(filler, database_account().user_id, -1)
    free = os.statvfs(small_disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 100_000))
    failed = restorer.load(new)
    assert failed["error"] == "DatabaseError", failed
    assert "No space left on device" in failed["message"]
    assert failed["hint"], failed
    assert digest_of(restorer.database) == before
    filler.unlink()
    again = restorer.create()  # and drops what the first one left
    assert restorer.load(again)["proven"]
    assert names_of(restorer.database) == {restorer.database.name, again}
