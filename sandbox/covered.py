"""Which lines of the engine the tests run: in their own process and in every process that they start.

Each virtualenv that is made while this runs measures the Python that it starts, whoever runs it and in whatever
environment: a `.pth` file begins the measurement, and each process leaves a file of its own. What runs out of a zip
file (the worker in the application's interpreter, Ansible's modules) is counted as the source that it was packed from.
A process that is killed is not counted: on a busy machine that is also a worker that takes longer than a second to end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import coverage

from .virtualenv import COVERAGE as FOLDER
from .virtualenv import HOOK, ROOT, measure

WANTED = 95
"""Percent of lines and branches."""
_DATA = Path("/dev/shm/checkniner-coverage")
"""In memory: a process that has a second to end writes its file in time."""
_SETTINGS = """\
[run]
branch = true
parallel = true
data_file = {data}/of
include =
    */checkniner_backups/*
    */checkniner_module.py
    */checkniner_worker/*
disable_warnings = no-data-collected, module-not-imported, module-not-measured, couldnt-parse
[paths]
engine =
    {root}/module_utils/checkniner_backups
    */checkniner_backups
worker =
    {root}/module_utils/checkniner_backups/django_app/worker
    */checkniner_worker
[report]
include = {root}/module_utils/*
show_missing = true
skip_covered = true
exclude_also =
    if TYPE_CHECKING:
    @abstractmethod
    \\.\\.\\.$
"""
_START = """\
import os
import coverage
os.environ["COVERAGE_PROCESS_START"] = "{folder}/settings"
coverage.process_startup()
del os.environ["COVERAGE_PROCESS_START"]  # what this process starts has the environment that it states
_leave = os._exit


def leave(status):
    measured = coverage.Coverage.current()
    if measured:
        measured.stop()
        measured.save()
    _leave(status)


os._exit = leave
"""


def _prepare() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "packages").mkdir(parents=True)
    shutil.rmtree(_DATA, ignore_errors=True)
    _DATA.mkdir()
    _DATA.chmod(0o1777)  # each account writes its own
    shutil.copytree(Path(coverage.__file__).parent, FOLDER / "packages" / "coverage")
    (FOLDER / "packages" / f"{HOOK}.py").write_text(_START.format(folder=FOLDER))
    (FOLDER / "settings").write_text(_SETTINGS.format(data=_DATA, root=ROOT))
    (FOLDER / "running").touch()


def main() -> int:
    """Run the tests with the given arguments of pytest, and report."""
    _prepare()
    (own,) = (Path(sys.prefix) / "lib").glob("python3*/site-packages")
    measure(own)
    try:
        status = subprocess.run(
            ["pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile", *sys.argv[1:]],
            cwd=ROOT,
            check=False,
        ).returncode
    finally:
        (own / f"{HOOK}.pth").unlink()
        (FOLDER / "running").unlink()
    tool = [sys.executable, "-m", "coverage"]
    settings = f"--rcfile={FOLDER}/settings"
    subprocess.run([*tool, "combine", "-q", settings], cwd=ROOT, check=True)
    reported = subprocess.run([*tool, "report", settings, f"--fail-under={WANTED}"], cwd=ROOT, check=False)
    return status or reported.returncode


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
