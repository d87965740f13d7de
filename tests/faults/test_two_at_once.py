"""Two commands at the same time: one waits or gives way, and what must hold holds."""

from __future__ import annotations

import subprocess
from itertools import combinations_with_replacement

import pytest

from sandbox.owner import SYSTEM_PATH
from tests.plugins.faulty import Faulty
from tests.restore_command import ADMIN_URL
from tests.ticking import truth

from .test_killed_restores import fetched

COMMANDS = {
    "tick": ("run",),
    "backup by hand": ("backup", "--force"),
    "clean": ("clean",),
    "status": ("status",),
    "check": ("check",),
    "restore from SQL": ("restore", "--source", "sql"),
    "restore from fixtures": ("restore", "--source", "fixtures"),
}
PAIRS = [pair for pair in combinations_with_replacement(COMMANDS, 2) if pair != ("status", "status")]
pytestmark = pytest.mark.timeout(300)


@pytest.mark.pair(2, fault="first", place="second")
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_at_once(faulty: Faulty, first: str, second: str) -> None:
    # Sound as the state is here, `status` has nothing to complain of but a tick that is late.
    assert faulty.server.run("backup", "--force").returncode == 0
    archive, secret = fetched(faulty)
    saved = truth(faulty.application)
    faulty.change()
    now = truth(faulty.application)
    running = []
    for name in (first, second):
        words = [str(word) for word in COMMANDS[name]]
        if words[0] == "restore":
            words += ["--file", str(archive), "--session-key-fd", "0", "--yes"]
        running.append(_start(faulty, words))
    ended = []
    for process in running:
        output, errors = process.communicate(secret, timeout=200)
        ended.append((process.returncode, errors))
        assert "Traceback" not in output + errors
        assert "a fault of ours" not in errors
    restoring = [name for name in (first, second) if name.startswith("restore")]
    # 75: the other one is at work. 9 and 5: two restores are in each other's way.
    allowed = {0, 75, 18} | ({5, 9} if len(restoring) == 2 else set())
    assert {status for status, _ in ended} <= allowed, ended
    assert 0 in {status for status, _ in ended} | ({0} if "status" in (first, second) else set()), ended
    assert truth(faulty.application) in (saved, now)
    again = faulty.server.run("run", "--json", check=False)
    faulty.check(again, 0)


def _start(faulty: Faulty, words: list[str]) -> subprocess.Popen[str]:
    server = faulty.server
    return subprocess.Popen(
        [server.command, "--environment", server.environment_file, *words],
        env={"PATH": SYSTEM_PATH, "HOME": "/", ADMIN_URL: faulty.application.database.cluster.admin_url()},
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=0o077,
        **faulty.application.owner.options(),
    )  # fmt: skip
