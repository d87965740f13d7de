"""What every build asks about the project: its files and its version."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"


def metadata() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def engine_version() -> str:
    """Return the version that the engine states.

    :raises ValueError: it states none, or another than pyproject.toml
    """
    text = (ROOT / "module_utils" / "checkniner_backups" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if not found or found[1] != metadata()["version"]:
        raise ValueError("pyproject.toml and the engine's __init__.py state different versions")
    return found[1]


def files(*folders: str) -> list[Path]:
    """Given folders of the project, return their files, relative to the project's root, in order.

    Only what git tracks, so that no inventory and no key of the builder's is ever handed out. Where there is no git,
    as in an unpacked archive of the source, everything but links and caches.
    """
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--", *folders],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.split("\0") if name]
    else:
        found = [path for folder in folders for path in [ROOT / folder, *(ROOT / folder).rglob("*")]]
        names = [path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts]
    return sorted({name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()})
