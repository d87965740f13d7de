"""The command `checkniner-backups`: the command line, started and ended as cheaply as can be.

An idle tick runs every five minutes and does next to nothing: a sixth of its CPU was Python looking for garbage among
freshly imported modules, and taking them apart again at the end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys


def main() -> None:
    """Run the command line of `sys.argv` and end this process with its exit status."""
    gc.disable()
    from .main import main as run

    gc.freeze()
    gc.enable()
    status = run()
    # Threads, pools and files are closed by whoever opened them; only the two streams are left.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it may be gone
            stream.flush()
    os._exit(status)
