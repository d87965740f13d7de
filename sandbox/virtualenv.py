"""Virtualenvs in half a second: packages are installed once per list of requirements, below `.cache/`, then copied."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from .owner import Account

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
COVERAGE = CACHE / "coverage"
"""Is there while the tests are run to see which lines they reach (covered.py)."""
HOOK = "checkniner_coverage"


@lru_cache
def find_interpreter(account: Account) -> Path:
    """Given who is to use it, return a Python that can make virtualenvs: Debian's own first.

    :raises RuntimeError: there is none that this user can run (one below another's home is closed to it)
    """
    for candidate in (Path("/usr/bin/python3"), Path("/usr/local/bin/python3"), Path(os.path.realpath(sys.executable))):
        try:
            if account.run([candidate, "-I", "-c", "import venv, ensurepip"], check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    raise RuntimeError(f"no Python with venv that the user {account.name} can run: apt-get install python3-venv")


def make(
    path: Path, requirements: Path, account: Account, python: Path | None = None, packages_of: Path | None = None
) -> None:
    """Given a path and a requirements file, make a virtualenv there that belongs to `account`.

    :param python: its interpreter; default: `find_interpreter`
    :param packages_of: another virtualenv made from the same file: use its packages in place, which saves a second
    :raises subprocess.CalledProcessError: venv or pip failed
    """
    interpreter = python or find_interpreter(account)
    template = packages_of or _template(interpreter, requirements)
    _run(interpreter, "-m", "venv", "--without-pip", path)
    (source,) = template.glob("lib/python3*/site-packages")
    target = path / source.relative_to(template)
    if packages_of:
        (target / "shared.pth").write_text(f"{source}\n")
    else:
        target.rmdir()
        _run("cp", "-R", "--preserve=mode,timestamps,links", source, target)
    measure(target)
    account.own(path)


def measure(site_packages: Path) -> None:
    """Given the packages of a virtualenv, have its Python measured while tests are run for that."""
    if (COVERAGE / "running").exists():
        (site_packages / f"{HOOK}.pth").write_text(f"{COVERAGE}/packages\nimport {HOOK}\n")


def _template(interpreter: Path, requirements: Path) -> Path:
    version = subprocess.run([interpreter, "-VV"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256(f"{interpreter}\n{version}\n{requirements.read_text()}".encode()).hexdigest()[:16]
    template = CACHE / "virtualenvs" / key
    template.parent.mkdir(parents=True, exist_ok=True)
    with (template.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once: the second waits for the first
        if not (template / "complete").exists():
            shutil.rmtree(template, ignore_errors=True)
            _run(interpreter, "-m", "venv", template)
            pip = (template / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input")
            _run(*pip, "install", "--quiet", "--requirement", requirements)
            (template / "complete").touch()
    return template


def _run(*argv: str | Path) -> None:
    environment = {**os.environ, "PIP_CACHE_DIR": str(CACHE / "pip"), "LC_ALL": "C.UTF-8"}
    subprocess.run([str(word) for word in argv], env=environment, check=True, umask=0o022)
