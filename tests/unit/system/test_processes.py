"""Programs that we start: what they are given, what is kept of what they say, and their end."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from checkniner_backups.system.processes import Listener, answer, kill_group


def test_it_gets_a_stated_environment_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_SECRET_KEY", "of the operator")
    done = answer(["/bin/sh", "-c", "env; cat"], seconds=10)
    assert "LC_ALL=C.UTF-8" in done.stdout
    assert "of the operator" not in done.stdout


def test_who_says_much_does_not_wait_and_the_end_is_kept() -> None:
    command = ["/bin/sh", "-c", "yes 0123456789 | head -c 300000 >&2; echo the last word >&2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        said = Listener(process.stderr, limit=1000)
        assert process.wait(20) == 0
        text = said.text()
    assert len(text) == 1000
    assert text.endswith("the last word\n")


def test_a_program_that_keeps_the_pipe_open_is_not_waited_for_without_end() -> None:
    command = ["/bin/sh", "-c", "echo word >&2; sleep 60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        said = Listener(process.stderr)
        began = time.monotonic()
        assert said.text(0.5) in ("", "word\n")
        assert time.monotonic() - began < 10
        kill_group(process)


def test_a_group_ends_with_what_was_started() -> None:
    command = ["/bin/sh", "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        kill_group(process)
        assert process.wait(10) == -9
        kill_group(process)  # who has ended is left alone: the number may be another's by now
    end = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < end
        time.sleep(0.02)


def _runs(process_id: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return False
