"""The demo, whole; and stopped in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .blocks import ROOT

STEPS = (
    "set-up", "the restore, rehearsed on the server", "a pilot passes a checkout; a tick", "a tick with nothing new",
    "a weight is corrected; a tick", "disaster", "restore from SQL", "disaster again", "restore from fixtures",
)  # fmt: skip
pytestmark = pytest.mark.timeout(1800)


def leftovers() -> set[str]:
    """What the demo makes below the temporary folder, and the processes that name the demo."""
    folders = {path.name for folder in ("/tmp", "/var/tmp") for path in Path(folder).glob("cn-demo-*")}
    processes = subprocess.run(["pgrep", "-f", "sandbox[.]demo"], capture_output=True, text=True, check=False).stdout
    return folders | set(processes.split())


def test_the_whole_demo() -> None:
    before = leftovers()
    done = subprocess.run(["sandbox/bootstrap", "scripts/demo"], cwd=ROOT, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=900, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("PROVEN BY")[2].splitlines()
    assert [line for step in STEPS for line in table if re.match(rf"{re.escape(step)}  ", line)] == table[1:10]
    assert "the store counted 0 requests" in done.stdout
    assert re.search(r"^ +\*/5 \* \* \* \* \S+/checkniner-backups --environment \S+ run >>", done.stdout, re.MULTILINE)
    assert (ROOT / ".demo" / "demo.log").stat().st_mode & 0o777 == 0o600
    assert leftovers() <= before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_demo_leaves_nothing(number: signal.Signals) -> None:
    before = leftovers()
    with subprocess.Popen(["sandbox/bootstrap", "scripts/demo"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True) as demo:  # fmt: skip
        assert demo.stdout is not None
        for line in demo.stdout:
            if "the example application" in line:
                break
        while not playing(demo.pid):
            assert demo.poll() is None
            time.sleep(0.05)
        os.killpg(demo.pid, number) if number == signal.SIGINT else demo.send_signal(number)
        said = demo.stdout.read()
        assert demo.wait(120) == 128 + number
    assert f"stopped by {number.name}" in said
    assert leftovers() <= before
    assert not playing(demo.pid)


def playing(demo: int) -> list[str]:
    """The `ansible-playbook` processes of a demo."""
    found = subprocess.run(["pgrep", "-P", str(demo), "-f", "ansible-playbook"], capture_output=True, text=True,
                           check=False)  # fmt: skip
    return found.stdout.split()
