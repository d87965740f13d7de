"""Files and folders of this machine."""

from __future__ import annotations

import tempfile


def short_folder() -> str:
    """Return the folder for temporary GNUPGHOMEs: the system's temporary one, where its path is short enough."""
    folder = tempfile.gettempdir()
    return folder if len(folder) <= 40 else "/tmp"  # noqa: S108 - what is made there is private
