"""A tick that is ended, by a signal or outright, leaves nothing behind; the next one saves what it would have saved."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import guard
from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.plugins.spying import command_lines
from tests.ticking import leftovers, newest, start, truth

pytestmark = pytest.mark.late("signals are sent into the middle of a tick")


def nothing_runs(server: Server) -> None:
    """Wait a little until nothing of a killed run is left: what reads from a pipe sees its end."""
    for _ in range(200):
        left = [each for each in guard.processes_of(server.application.folder) if each != os.getpid()]
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError([Path(f"/proc/{each}/cmdline").read_bytes() for each in left])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_tick_in_order(
    server: Server, application: RunningApplication, keys: Keys, number: signal.Signals
) -> None:
    python = application.virtualenv / "bin" / "python"
    real = python.with_name("real-python")
    python.rename(real)
    marker = application.installed.folder / "started"
    python.write_text(f'#!/bin/sh\ntouch "{marker}"\nsleep 298\nexec "{real}" "$@"\n')
    python.chmod(0o755)
    application.owner.own(python)
    with start(server, "run") as process:
        for _ in range(600):
            if marker.exists():
                break
            time.sleep(0.05)
        assert (server.state_path / "work").exists()
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert f"stopped by {number.name}" in errors
    assert "Traceback" not in errors
    nothing_runs(server)
    assert not command_lines("sleep 298")
    assert leftovers(server) == []
    assert server.keys() == []
    real.rename(python)
    assert server.tick()["saved"]
    assert newest(server, keys, application) == truth(application)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_after_a_kill_at_any_moment_the_next_tick_ends_well(
    server: Server, application: RunningApplication, keys: Keys, number: signal.Signals
) -> None:
    chance = random.Random(5)
    server.tick()
    application.change()
    began = time.monotonic()
    server.tick()
    length = time.monotonic() - began
    killed = 0
    for part in range(6):
        ident = secrets.token_hex(4)
        application.database.execute(
            "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES (%s, 'Killed', false)", (ident,)
        )
        with start(server, "run") as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(length * (part + chance.random()) / 6)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            process.communicate(timeout=60)
        killed += process.returncode != 0
        nothing_runs(server)
        again = server.run("run", "--json")
        assert again.returncode == 0
        assert leftovers(server) == []
        found = newest(server, keys, application)
        assert ident in found
        assert found == truth(application)
    assert killed >= 2


def test_what_a_killed_run_left_in_plaintext_is_gone_after_the_next_tick_though_nothing_changed(
    server: Server, application: RunningApplication
) -> None:
    server.tick()
    work = server.state_path / "work"
    with start(server, "backup", "--force") as process:
        while process.poll() is None and not list(work.rglob("*.sql*")):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    nothing_runs(server)
    old = time.time() - 3600
    for name in (".pending.x7z", ".safety-manifest.json.x7z"):
        path = server.state_path / name
        path.write_text("half")
        os.utime(path, (old, old))
        application.owner.own(path)
    assert list(work.rglob("*.sql*"))
    assert not server.tick()["saved"]
    assert leftovers(server) == []
