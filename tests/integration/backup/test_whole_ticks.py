"""Whole ticks by the command line: what they leave in the store, and what stays when they fail."""

from __future__ import annotations

import fcntl
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.ticking import leftovers, newest, start, truth


class Gate:
    """A way to the store that can be shut, and that counts who goes through."""

    def __init__(self, port: int) -> None:
        self.port, self.open, self.count = port, True, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.count += 1
                if not self.open:
                    client.close()
                    continue
                store = socket.create_connection(("127.0.0.1", self.port))
                for source, sink in ((client, store), (store, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while self.open and (data := source.recv(65536)):
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(server: Server) -> Iterator[Gate]:
    """The server's way to the store."""
    made = Gate(server.store.port)
    server.write_environment(CHECKNINER_BACKUPS_S3_ENDPOINT_URL=made.url)
    yield made
    made.listener.close()


@pytest.fixture
def pings(server: Server) -> Iterator[list[str]]:
    """What a watchdog hears."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as watchdog:
        threading.Thread(target=watchdog.serve_forever, daemon=True).start()
        server.write_environment(CHECKNINER_BACKUPS_WATCHDOG_URL=f"http://127.0.0.1:{watchdog.server_port}/alive")
        yield heard
        watchdog.shutdown()


def test_an_idle_tick_needs_no_store_no_django_and_no_dump(
    server: Server, application: RunningApplication, gate: Gate, pings: list[str]
) -> None:
    assert server.tick()["saved"]
    while server.tick()["check_level"] != "snapshot":  # autovacuum may have moved it
        pass
    python = application.virtualenv / "bin" / "python"
    python.rename(python.with_name("away"))
    gate.open, gate.count = False, 0
    state = server.state_path
    before = (state / "state.json").stat().st_mtime_ns, (state / "state.json").read_bytes(), state.stat().st_mtime_ns
    pings.clear()
    assert server.tick() == {
        "saved": False, "key": "", "size": 0, "sha256": "", "check_level": "snapshot", "look": "mark",
        "reason": "nothing that is visible has changed since the last check", "missing": {},
    }  # fmt: skip
    assert gate.count == 0
    after = (state / "state.json").stat().st_mtime_ns, (state / "state.json").read_bytes(), state.stat().st_mtime_ns
    assert after == before  # no work folder was made either
    assert pings == ["/alive"]
    application.change_noise()
    assert server.tick()["check_level"] == "rows"
    assert gate.count == 0
    # The proof that both were out of order:
    application.change()
    failed = server.run("run", check=False)
    assert failed.returncode == 7  # the SQL is dumped without Django, and cannot be stored
    assert "cannot start" in failed.stderr
    python.with_name("away").rename(python)
    failed = server.run("run", check=False)
    assert failed.returncode == 7
    assert gate.count


def test_a_failed_upload_is_remembered_nowhere_and_made_up_for(
    server: Server, application: RunningApplication, keys: Keys, gate: Gate, pings: list[str]
) -> None:
    gate.open = False
    failed = server.run("run", check=False)
    assert failed.returncode == 7
    assert not (server.state_path / "state.json").exists()
    gate.open = True
    server.tick()
    state = (server.state_path / "state.json").read_bytes()
    application.change()
    gate.open = False
    pings.clear()
    for _ in range(2):
        failed = server.run("run", check=False)
        assert failed.returncode == 7
        assert "HINT" in failed.stderr
        assert (server.state_path / "state.json").read_bytes() == state
        assert leftovers(server) == []
    assert pings == []
    assert len(server.keys()) == 1
    gate.open = True
    assert server.tick()["saved"]
    assert pings == ["/alive"]
    assert newest(server, keys, application) == truth(application)
    assert not server.tick()["saved"]


def test_unchanged_is_only_believed_against_an_archive_that_is_in_the_store(
    server: Server, application: RunningApplication, keys: Keys, gate: Gate
) -> None:
    first = server.tick()
    server.write_environment(CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0")
    assert not server.tick()["saved"]
    server.store.client().delete_object(Bucket=server.bucket, Key=first["key"])
    again = server.tick()
    assert again["saved"]
    assert "no longer in the store" in again["reason"]
    assert again["key"] > first["key"]
    assert newest(server, keys, application) == truth(application)
    server.store.client().put_object(Bucket=server.bucket, Key=again["key"], Body=b"cut short")
    third = server.tick()
    assert third["saved"]
    gate.open = False
    assert server.run("run", check=False).returncode == 7  # it cannot be known
    gate.open = True
    assert not server.tick()["saved"]


def test_the_daily_full_check_saves_what_the_cheap_checks_missed_and_says_whose_fault_it_is(
    server: Server, application: RunningApplication, keys: Keys, pings: list[str]
) -> None:
    server.tick()
    application.change()
    path = server.state_path / "state.json"
    state = json.loads(path.read_text())
    # A token and digests that lie: those of now, as if they had been the saved archive's.
    database = application.database.name
    copy = f"{database}_twin"
    application.database.cluster.create_database(copy, application.database.user, database)
    lying = doctored(server, application)
    path.write_text(
        json.dumps({**state, "snapshot_token": lying["snapshot_token"], "fingerprint": lying["fingerprint"]})
    )
    quiet = server.tick()
    assert not quiet["saved"]
    pings.clear()
    server.write_environment(CHECKNINER_BACKUPS_FULL_CHECK_EVERY="0")
    found = server.run("run", check=False)
    assert found.returncode == 12, found.stderr
    assert "please report it" in found.stderr
    assert pings == []
    assert newest(server, keys, application) == truth(application)
    full = server.tick()
    assert (full["saved"], full["check_level"]) == (False, "full")
    # A day later, by the clock of the memory.
    server.write_environment(CHECKNINER_BACKUPS_FULL_CHECK_EVERY="86400")
    assert server.tick()["check_level"] in ("snapshot", "rows")
    state = json.loads(path.read_text())
    path.write_text(json.dumps({**state, "full_check_at": state["full_check_at"] - 86401}))
    assert server.tick()["check_level"] == "full"
    assert server.tick()["check_level"] in ("snapshot", "rows")


def doctored(server: Server, application: RunningApplication) -> dict[str, Any]:
    """Return the memory that a backup of now would make, without making it known."""
    path = server.state_path / "state.json"
    kept = path.read_bytes()
    saved = json.loads(server.run("backup", "--json").stdout)
    made: dict[str, Any] = json.loads(path.read_text())
    server.store.client().delete_object(Bucket=server.bucket, Key=saved["key"])
    path.write_bytes(kept)
    return made


def test_a_second_run_at_the_same_time_says_so_and_is_no_success(
    server: Server, application: RunningApplication, pings: list[str]
) -> None:
    (server.state_path / "lock").touch(mode=0o600)
    application.owner.own(server.state_path / "lock")
    with (server.state_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in ("run", "backup"):
            busy = server.run(command, check=False)
            assert busy.returncode == 75, busy.stderr
            assert "another run is still at work" in busy.stderr
        assert pings == []
        patient = [start(server, command) for command in ("clean", "check")]  # nobody repeats these soon
        time.sleep(3)
        assert [each.poll() for each in patient] == [None, None]
    assert [each.wait(120) for each in patient] == [0, 0]
    running = [start(server, "run") for _ in range(3)]
    statuses = sorted(each.wait(120) for each in running)
    assert statuses[0] == 0
    assert set(statuses[1:]) <= {0, 75}
    assert len(server.keys()) == 1
    assert len(pings) == statuses.count(0)


def test_the_newest_archive_sorts_last_also_when_the_clock_was_set_back(
    server: Server, application: RunningApplication
) -> None:
    first = server.tick()
    path = server.state_path / "state.json"
    fast = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=3)  # before the clock was put right

    def key(seconds: int) -> str:
        return f"db/{fast + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.tar.gz.gpg"

    ahead = key(0)
    client = server.store.client()
    client.copy_object(Bucket=server.bucket, Key=ahead, CopySource=f"{server.bucket}/{first['key']}")
    state = json.loads(path.read_text()) | {"key": ahead}
    later = time.time() + 1e6
    path.write_text(json.dumps(state | {"at": later, "full_check_at": later, "seen_in_store_at": later}))
    application.change()
    assert server.tick()["key"] == key(1)
    assert not server.tick()["key"]  # it is what the next tick compares with
    # The memory is lost, and the local archives too: the store knows.
    path.unlink()
    for archive in (server.state_path / "archives").iterdir():
        archive.unlink()
    assert server.tick()["key"] == key(2)
    # A run was killed after its upload, before it could remember it: the local archive knows.
    path.write_text(json.dumps(state))
    assert server.tick()["key"] == key(3)
