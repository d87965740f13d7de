"""Every process that came of this program, however far removed, and its end.

`ansible-playbook` puts its workers into sessions of their own, and `su` starts another one: killing a process group is
not enough. So this program adopts what its children leave behind, and finds all of it below itself in the process tree.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on, a descendant whose parent ends becomes our child, not that of process 1."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def find(spared: Collection[int] = ()) -> list[int]:
    """Given processes to spare, with all that came of them, return the ids of our other living descendants."""
    tree, found, waiting = _tree(), [], [os.getpid()]
    while waiting:
        for process in tree[waiting.pop()]:
            if process not in spared:
                found.append(process)
                waiting.append(process)
    return found


def kill(spared: Collection[int] = (), patience: float = 10.0) -> None:
    """Given processes to spare, kill the rest of `find` and wait until they are gone, at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while (processes := find(spared)) and time.monotonic() < deadline:
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        time.sleep(0.02)


def _tree() -> defaultdict[int, list[int]]:
    """Living processes by parent. The dead whom nobody has buried yet are left out."""
    tree: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    tree[int(parent)].append(int(entry.name))
    return tree
