"""The wheel, installed by pip into an empty virtualenv, brings the command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from release import wheel
from release.project import ROOT, engine_version
from sandbox.owner import ourselves
from sandbox.virtualenv import CACHE, find_interpreter


def test_pip_installs_the_command(tmp_path: Path) -> None:
    archive = wheel.build(tmp_path / "dist")
    assert engine_version() in archive.name
    environment = {**os.environ, "PIP_CACHE_DIR": str(CACHE / "pip")}
    environment.pop("PYTHONPATH", None)
    subprocess.run([find_interpreter(ourselves()), "-I", "-m", "venv", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    pip = [programs / "python", "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, archive], cwd=tmp_path, env=environment, check=True)
    for arguments in (["--version"], ["--help"]):
        done = subprocess.run([programs / "checkniner-backups", *arguments], cwd=tmp_path, env={"LC_ALL": "C.UTF-8"},
                              capture_output=True, text=True, check=True)  # fmt: skip
        assert (engine_version() if arguments == ["--version"] else "exit status:") in done.stdout
    # The whole engine, and nothing of the checkout: neither modules nor tests.
    (packages,) = programs.parent.glob("lib/python3*/site-packages")
    shipped = {path.relative_to(packages) for path in (packages / "checkniner_backups").rglob("*.py")}
    ours = ROOT / "module_utils"
    assert shipped == {path.relative_to(ours) for path in (ours / "checkniner_backups").rglob("*.py")}
    assert not (packages / "checkniner_module.py").exists()
