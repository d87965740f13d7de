"""The newest ansible-core on a newer Python sets the backups up and restores, as the pinned one does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import virtualenv
from sandbox.owner import ourselves
from tests.plugins.operated import Operated
from tests.restoring import digest_of

REQUIREMENTS = virtualenv.ROOT / "requirements" / "newest-ansible.txt"
PYTHONS = ("python3.14", "python3.13", "python3.12")


def newer_python() -> Path | None:
    """Return a Python 3.12 or later that can make virtualenvs, None if this machine has none."""
    for name in PYTHONS:
        found = shutil.which(name)
        code = "import sys, venv, ensurepip; print(sys.executable)"
        if found:
            done = subprocess.run([found, "-I", "-c", code], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return Path(done.stdout.strip())
    return None


@pytest.fixture
def newest(operated: Operated, tmp_path: Path) -> Iterator[Operated]:
    python = newer_python()
    if python is None:
        pytest.skip(f"none of {', '.join(PYTHONS)} is here: the newest ansible-core is not tried")
    virtualenv.make(tmp_path / "venv", REQUIREMENTS, ourselves(), python)
    kept = operated.control.ansible_playbook
    operated.control.ansible_playbook = (str(tmp_path / "venv" / "bin" / "python"), "-m", "ansible", "playbook")
    yield operated
    operated.control.ansible_playbook = kept


def test_set_up_and_restore(newest: Operated) -> None:
    version = newest.control.play("setup-backups.yml", "--version").stdout
    assert "core 2.21" in version
    newest.tick()
    done = newest.control.play("setup-backups.yml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "changed=0" in done.stdout  # what the pinned one has set up
    assert "PROVEN: this machine has opened" in done.stdout
    assert "DEPRECAT" not in done.stdout + done.stderr
    before = digest_of(newest.database)
    newest.change()
    restored = newest.restore("-e", "source=sql")
    assert restored.returncode == 0, restored.stdout[-3000:] + restored.stderr[-3000:]
    assert "DEPRECAT" not in restored.stdout + restored.stderr
    assert digest_of(newest.database) == before
