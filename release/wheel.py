"""Build the wheel: the engine and its command `checkniner-backups`, for who wants neither Ansible nor a checkout."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .project import DIST, ROOT, engine_version, files


def build(output: Path = DIST) -> Path:
    """Build the wheel in `output` and return its path.

    From a copy of the files that git tracks: setuptools leaves traces where it builds, and packs those of before.

    :raises subprocess.CalledProcessError: pip or setuptools failed, and has said why
    """
    with tempfile.TemporaryDirectory(prefix="cb-wheel-") as temporary:
        for path in files("pyproject.toml", "README.md", "LICENSE", "module_utils"):
            target = Path(temporary) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
        output.mkdir(parents=True, exist_ok=True)
        pip = (sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input")
        subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", output, temporary], check=True)
    return output / f"checkniner_backups-{engine_version()}-py3-none-any.whl"


def main() -> int:
    """Build it and say where it is."""
    parser = argparse.ArgumentParser(description="Build the wheel into dist/.")
    parser.add_argument("--output", type=Path, default=DIST, help="another folder than dist/")
    sys.stdout.write(f"{build(parser.parse_args().output)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
