"""Drills: a stored archive is restored both ways into a throwaway server, and what differs is found."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from checkniner_backups.archive.file import ArchiveFile, opened
from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.drill import drill
from checkniner_backups.drill import record as drill_record
from checkniner_backups.rehearsal.throwaway import throwaway
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.s3 import Store
from checkniner_backups.system.accounts import unprivileged
from checkniner_backups.system.stale_files import sweep

from sandbox.object_store import ObjectStore
from sandbox.server import Server
from tests.archives import entry, manifest_for, tar
from tests.plugins.keys import Keys
from tests.plugins.object_store import POLICY_BUCKET

pytestmark = pytest.mark.late("a drill in the background is waited for, and killed")

ROOT = Path(__file__).resolve().parents[3]


def operators_store(server: Server) -> Store:
    who = server.store.identities["operator"]
    keys = {"access_key": who.access_key, "secret_key": who.secret_key}
    return Store(StoreSettings(bucket=server.bucket, endpoint_url=server.store.endpoint_url, **keys))


def plan_of(server: Server, keys: Keys, *, code: bool = True) -> drill.Plan:
    here = drill.Code(server.application.path, server.application.virtualenv) if code else None
    return drill.Plan("checkniner", here, keys.keyring.home)


def folders() -> set[Path]:
    return {*Path("/tmp").glob("cb-*")}


def nothing_is_left_since(before: set[Path]) -> None:
    """Other tests make such folders at the same time: theirs go, what we have left stays."""
    end, left = time.monotonic() + 120, folders() - before
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left &= folders()
    assert not left


def members_of(path: Path, keys: Keys) -> tuple[Manifest, dict[str, bytes]]:
    with opened(ArchiveFile(path, gnupg_home=keys.keyring.home)) as reader:
        assert reader.manifest
        return reader.manifest, {member.name: b"".join(member.chunks()) for member in reader}


def store_archive(store: Store, stamp: str, content: dict[str, bytes]) -> str:
    key = f"db/{stamp}.tar.gz"
    body = gzip.compress(tar([entry(name, data) for name, data in content.items()]), 1)
    store._client.put_object(Bucket=store.bucket, Key=key, Body=body)
    return key


def test_a_good_archive_is_proven_both_ways_and_a_record_is_kept(server: Server, keys: Keys) -> None:
    before = folders()
    key = server.tick()["key"]
    store = operators_store(server)
    assert drill_record.last_good(store) is None
    archives = drill.choose_archives(store, count=5)
    assert [each.key for each in archives] == [key]
    [done] = drill.run_drills(store, archives, plan_of(server, keys))
    result, record = done.result, done.record
    assert result.verdict == drill_record.GOOD, result
    assert result.sql.startswith("proven: 1")
    assert result.fixtures.startswith("proven: fixtures of 5 apps")
    assert result.both.startswith("equal: 5 apps")
    assert re.fullmatch(r"db/drills/[0-9-]{10}T[0-9:]{8}\.json", record)
    kept = store.get_json(record)
    assert (kept["archive"], kept["verdict"], kept["sql"]) == (key, "good", result.sql)
    assert kept["seconds"] == pytest.approx(result.seconds)
    [done] = drill.run_drills(store, archives, plan_of(server, keys, code=False))
    alone, second = done.result, done.record
    assert (alone.verdict, alone.fixtures, alone.both) == (drill_record.GOOD, drill.NOT_DRILLED, drill.NOT_DRILLED)
    assert second != record
    # The records do not come between the archives, and a server that may only list sees how old they are.
    assert drill.choose_archives(store)[0].key == key
    assert drill_record.last_good(store) is not None
    assert "last good drill" in server.run("status", "--drill").stdout
    nothing_is_left_since(before)


def test_what_differs_or_cannot_be_proven_is_no_good_drill(server: Server, keys: Keys, tmp_path: Path) -> None:
    server.tick()
    store, plan = operators_store(server), plan_of(server, keys)
    stored = store.head(server.keys()[0])
    store.download(stored.key, tmp_path / "archive")
    manifest, content = members_of(tmp_path / "archive", keys)

    def results(stamp: str, members: dict[str, bytes]) -> tuple[drill_record.Result, str]:
        store_archive(store, stamp, members)
        done = next(drill.run_drills(store, drill.choose_archives(store, f"db/{stamp}.tar.gz"), plan))
        return done.result, done.record

    # Fixtures of another moment than the SQL: each is true to the manifest, but they are not equal.
    other = {**content, "auth.json": content["auth.json"].replace(b"pilot0000", b"pilotZZZZ")}
    other |= {name: data.replace(b"pilot0000", b"pilotZZZZ") for name, data in other.items() if name.endswith("json")}
    lying = replace(manifest, members=manifest_for(other).members)
    result, record = results("2026-01-01T00:00:00", {"manifest.json": lying.to_json(), **other})
    assert result.verdict == drill_record.BAD
    assert result.fixtures.startswith("proven")
    assert result.both.startswith("FAILED")
    assert "auth" in result.both
    assert record.endswith(".bad.json")

    sql = next(name for name in content if name.endswith(".sql"))
    cut = {**content, sql: content[sql][:-2000]}
    lying = replace(manifest, members=manifest_for(cut).members)
    result, _ = results("2026-01-02T00:00:00", {"manifest.json": lying.to_json(), **cut})
    assert (result.verdict, result.fixtures) == (drill_record.BAD, "not reached")
    assert result.sql.startswith("FAILED")

    # What the old scripts made: no manifest, and a role that only the SQL names.
    result, record = results("2016-05-01T12:00:05", content)
    assert result.verdict == drill_record.UNPROVEN, result
    assert result.both.startswith("equal")
    assert record.endswith(".not-proven.json")

    assert drill_record.last_good(store) is None
    result = next(drill.run_drills(store, drill.choose_archives(store), replace(plan, application="another"))).result
    assert "'checkniner', not 'another'" in result.sql


def test_a_drill_that_cannot_be_recorded_is_told_all_the_same(s3_server: ObjectStore, tmp_path: Path) -> None:
    key = "db/2026-01-03T00:00:00.tar.gz"
    s3_server.client().put_object(Bucket=POLICY_BUCKET, Key=key, Body=b"no archive")

    def drilled(who: str, prefix: str) -> drill_record.Drilled:
        keys = s3_server.identities[who]
        settings = StoreSettings(
            bucket=POLICY_BUCKET, prefix=prefix, endpoint_url=s3_server.endpoint_url,
            access_key=keys.access_key, secret_key=keys.secret_key,
        )  # fmt: skip
        archive = drill.choose_archives(Store(replace(settings, prefix="db/")), key)[0]
        return next(drill.run_drills(Store(settings), [archive], drill.Plan("checkniner")))

    recorded = drilled("reader", "db/")
    assert recorded.record.startswith("db/drills/")
    assert (recorded.result.verdict, recorded.fault) == (drill_record.BAD, "")
    refused = drilled("reader", "db/drills-of-another/")  # where these keys may not put
    assert refused.record == ""
    assert refused.result.verdict == drill_record.BAD
    assert "NOT recorded" in refused.fault
    assert any("NOT recorded" in row[3] for row in drill_record.rows([refused]))


def test_what_runs_beside_the_server_does_not_hold_our_output() -> None:
    """It may be a module's word, and what runs as the same user could write to it."""
    with throwaway(unprivileged()) as server:
        held = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if str(server.folder).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    held |= {(entry / "fd" / number).readlink() for number in ("1", "2")}
        assert held
        assert not held & {Path("/proc/self/fd/1").readlink(), Path("/proc/self/fd/2").readlink()}


def test_the_throwaway_server_serves_passwords_only_and_is_gone_after_a_kill(tmp_path: Path) -> None:
    before = folders()
    with throwaway(unprivileged()) as server:
        assert server.folder.stat().st_mode & 0o777 == 0o700
        server.create_role("pilot", "secret")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**server.dsn("postgres", "pilot", "wrong").arguments())
        with psycopg.connect(**server.admin.arguments()) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    nothing_is_left_since(before)
    script = """
        import sys, time
        from checkniner_backups.system.accounts import unprivileged
        from checkniner_backups.rehearsal.throwaway import throwaway
        with throwaway(unprivileged()) as server:
            print(server.folder, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "module_utils")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        server_id = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        process.send_signal(signal.SIGKILL)
    gone = subprocess.run(
        ["timeout", "20", "sh", "-c", f"while [ -e {folder} ] || kill -0 {server_id}; do sleep 0.1; done"],
        capture_output=True,
        check=False,
    )
    assert gone.returncode == 0


def test_the_next_run_removes_what_nobody_holds(tmp_path: Path) -> None:
    from checkniner_backups.system.stale_files import locked

    for name in ("cb-old", "cb-used", "other"):
        (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "cb-link").symlink_to(tmp_path / "other")
    (tmp_path / "cb-file").write_text("x")
    with locked(tmp_path / "cb-used"):
        assert sweep(tmp_path, "cb-*") == []  # too young
        assert sweep(tmp_path, "cb-*", just_made=0) == [tmp_path / "cb-file", tmp_path / "cb-old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cb-link", "cb-used", "other"]
