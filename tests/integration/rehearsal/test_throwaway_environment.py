"""Whoever runs a throwaway server's code must not read the operator's secrets in /proc."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from checkniner_backups.rehearsal.throwaway import throwaway
from checkniner_backups.system.accounts import unprivileged


def descendants(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == process:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


def test_no_process_of_a_drill_has_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(16)
    monkeypatch.setenv("S3_SECRET_KEY", secret)
    before = set(descendants(os.getpid()))
    with throwaway(unprivileged()):
        started = set(descendants(os.getpid())) - before
        assert len(started) > 2  # the watcher, the server, and what the server starts
        for each in started:
            assert secret.encode() not in Path(f"/proc/{each}/environ").read_bytes(), each
