"""This process as a neighbour that gives way: everything else on the machine goes first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .processes import answer


def give_way() -> None:
    """Take the lowest priority for CPU and disk, and be the first to be ended where memory runs out.

    What this process starts from then on inherits it. What the system refuses is left as it is.
    """
    with suppress(OSError):
        os.nice(19)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with suppress(OSError):
        answer(["ionice", "-c", "3", "-p", str(os.getpid())])
