"""The sandbox keeps its own promises: nothing stays behind, and its parts are what the other tests take them for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox import guard, virtualenv
from sandbox.postgres import Cluster
from tests.plugins.application import ROWS, RunningApplication
from tests.plugins.keys import Keys

_PROGRAM = """
import sys, time
from sandbox.keys import Keyring
from sandbox.postgres import Cluster
cluster, keyring = Cluster(), Keyring()
cluster.create()
keyring.generate()
print(cluster.folder, keyring.home, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_no_process_and_no_folder_outlives_the_program(how: signal.Signals) -> None:
    argv = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=virtualenv.ROOT) as program:
        assert program.stdout is not None
        folders = [Path(word) for word in program.stdout.readline().decode().split()]
        assert len(folders) == 2
        assert all(guard.processes_of(folder) for folder in folders)
        program.send_signal(how)
        program.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while any(folder.exists() or guard.processes_of(folder) for folder in folders):
        assert time.monotonic() < deadline, [guard.processes_of(folder) for folder in folders]
        time.sleep(0.05)


def test_a_killed_cluster_starts_again_with_what_was_committed() -> None:
    with Cluster() as cluster:
        cluster.execute("CREATE TABLE kept (number int)")
        cluster.execute("INSERT INTO kept VALUES (1)")
        port = cluster.port
        cluster.kill()
        assert not guard.processes_of(cluster.data)
        cluster.start()
        assert (cluster.execute("TABLE kept"), cluster.port) == ([(1,)], port)


def test_the_application_runs_as_its_owner_on_its_own_rows(application: RunningApplication) -> None:
    assert application.owner.user_id != 0
    assert application.virtualenv.joinpath("bin/activate").stat().st_uid == application.owner.user_id
    count = "from checkouts.models import Checkout; print(Checkout.objects.count())"
    assert int(application.shell(count)) == ROWS
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert application.database.execute(owners) == [(application.database.user,)]


def test_the_same_numbers_give_the_same_rows(application: RunningApplication) -> None:
    tables = ("auth_user", "checkouts_checkout", "checkouts_airstrip_bases", "checkouts_pilotweight")
    digests = [f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM {table} t" for table in tables]
    first = [application.database.execute(digest) for digest in digests]
    emptied = "auth_user, auth_group, checkouts_airstrip, checkouts_aircrafttype"
    application.database.execute(f"TRUNCATE {emptied} RESTART IDENTITY CASCADE")
    application.manage("seed", "--rows", str(ROWS))
    assert [application.database.execute(digest) for digest in digests] == first


def test_keys_have_the_faults_that_they_are_made_with(keys: Keys) -> None:
    ring = keys.keyring

    def validity(fingerprint: str) -> tuple[str, str]:
        fields = ring.gpg("--list-keys", "--with-colons", fingerprint).decode().split("pub:")[1].split(":")
        return fields[0], fields[10]

    assert validity(keys.plain.fingerprint) == ("u", "scESC")
    assert validity(ring.generate_expired().fingerprint)[0] == "e"
    assert validity(ring.generate_revoked().fingerprint)[0] == "r"
    assert "e" not in validity(ring.generate_signing_only().fingerprint)[1].lower()
