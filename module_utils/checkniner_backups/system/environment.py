"""What programs that we start inherit: a stated environment, never ours.

Ours holds the operator's secrets (S3 keys, passphrases in variables), and whoever runs as the same account as a child,
or is that account, reads the child's environment in `/proc`.
"""

from __future__ import annotations

import os

_KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


def plain_environ() -> dict[str, str]:
    """Return the variables that a program needs to run and find its files: none that holds a secret."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8"}
