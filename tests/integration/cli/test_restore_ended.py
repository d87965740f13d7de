"""`checkniner-backups restore` that is ended: by a command that fails, by a kill, by nobody who answers."""

from __future__ import annotations

import gzip
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.archives import entry, tar
from tests.restore_command import ADMIN_URL, RENAME, STRIPS, Restorer, restorer

pytestmark = pytest.mark.late("signals are sent into the middle of a restore")

__all__ = ["restorer"]


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


def test_a_kill_in_the_middle_changes_nothing_and_the_next_restore_cleans_up(restorer: Restorer) -> None:
    key = restorer.server.tick()["key"]
    before = restorer.rows(STRIPS)
    sql = b"CREATE TABLE secret_plaintext (a int);\nSELECT pg_sleep(120);\n-- PostgreSQL database dump complete\n"
    path = restorer.application.installed.folder / "slow.tar.gz"
    path.write_bytes(gzip.compress(tar([entry("checkniner.sql", sql)])))
    restorer.application.owner.own(path)
    owner = restorer.application.owner
    process = subprocess.Popen(
        [str(word) for word in restorer.argv("--file", path, "--source", "sql", "--yes", "--unsigned")],
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
