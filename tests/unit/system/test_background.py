"""A process that outlives its parent ends when it is told to, when its guardian is gone, and when its time is up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkniner_backups.system import background


def sleeper(mark: Path) -> Callable[[background.Report], None]:
    """Work that says hello, sleeps, and cleans up however it ends."""

    def work(report: background.Report) -> None:
        mark.touch()
        try:
            report(b"hello")
            time.sleep(60)
        finally:
            mark.unlink()

    return work


def gone(mark: Path) -> bool:
    end = time.monotonic() + 20
    while mark.exists() and time.monotonic() < end:
        time.sleep(0.02)
    return not mark.exists()


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    process, told = background.start(sleeper(mark), 0, 60)
    assert (told, mark.exists()) == (b"hello", True)
    assert not background.stop(f"{process}0")  # the id of a process that began at another time
    assert mark.exists()
    assert background.stop(process)
    assert not mark.exists()
    os.waitpid(int(process.partition("-")[0]), 0)
    assert not background.stop(process)


def test_it_ends_with_its_guardian(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as guardian:
        background.start(sleeper(mark), guardian.pid, 60)
        assert mark.exists()
        guardian.kill()
    assert gone(mark)


def test_it_ends_when_its_time_is_up(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    background.start(sleeper(mark), 0, 0.3)
    assert mark.exists()
    assert gone(mark)


def test_work_that_breaks_reports_nothing() -> None:
    assert background.start(lambda _: None, 0, 60)[1] == b""


def test_the_outermost_ancestor_of_a_kind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = {os.getppid(): 80, 80: 70, 70: 60, 60: 1}
    words = {os.getppid(): ["sh", "-c"], 80: ["python", "/b/ansible-playbook"], 70: ["/b/ansible-playbook"], 60: ["sh"]}
    monkeypatch.setattr(background, "_words", words.__getitem__)
    monkeypatch.setattr(background, "_stat", lambda process: ["S", str(parents[process])])
    assert background.ancestor("ansible") == 70
    assert background.ancestor("other") == 0
