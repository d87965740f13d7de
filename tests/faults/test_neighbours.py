"""The programs that a tick starts fail in each way, and the machine runs out of each thing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.postgres import find_binaries
from tests.plugins.faulty import Faulty

FAULTS = {
    "fails": 'echo "{name}: no" >&2; exit 1',
    "is killed at once": "kill -9 $$",
    "is killed half-way": '"{real}" "$@" | head -c 100; kill -9 $$',
    "says nothing, with status 0": "exit 0",
    "complains, with status 0": 'echo "{name}: error: disk on fire" >&2; exit 0',
    "writes half, with status 0": '"{real}" "$@" | head -c 100; exit 0',
    "writes nonsense": "head -c 3000 /dev/urandom; exit 0",
    "cannot be run": None,
}
PROGRAMS = {"pg_dump": (5,), "psql": (5, 0), "gpg": (6,), "ssh-keygen": (0,), "python": (16, 4)}
"""And the statuses that a tick may end with: without psql, the cheapest check is left out; without Django, fixtures."""
PAIRS = [
    (fault, program)
    for program in PROGRAMS
    for fault in FAULTS
    # Of these two the next one on the PATH would be taken; an interpreter that says half is waited for, two minutes.
    if not (fault == "cannot be run" and program in ("gpg", "ssh-keygen"))
    and not ("half" in fault and program == "python")
]
LIMITS = {
    "RLIMIT_FSIZE": (0, 150, 700, 2000, 5000, 9000, 17000),
    "RLIMIT_NOFILE": (6, 9, 12, 16, 20, 26, 40),
}
FOLDERS = ("", "archives", "gnupg", "history")
ENVIRONMENTS = {
    "a zone far east": {"TZ": "Pacific/Kiritimati"},
    "a zone far west": {"TZ": "Etc/GMT+12"},
    "no such zone": {"TZ": "Nowhere/Land"},
    "a locale that is not there": {"LC_ALL": "de_DE.ISO-8859-1"},
    "no locale": {"LC_ALL": "C"},
    "another database": {"PGDATABASE": "postgres", "PGUSER": "nobody", "PGOPTIONS": "-c search_path=nowhere"},
    "a broken AWS profile": {"AWS_PROFILE": "nobody", "AWS_CONFIG_FILE": "/nonexistent"},
    "somebody's proxy": {"http_proxy": "http://192.0.2.1:9", "NO_PROXY": "127.0.0.1"},
    "somebody's Python": {"PYTHONPATH": "/nonexistent", "PYTHONSTARTUP": "/nonexistent", "PYTHONHASHSEED": "0"},
    "somebody's settings of Django": {"DJANGO_SETTINGS_MODULE": "nowhere.settings"},
}
pytestmark = pytest.mark.timeout(200)


@pytest.mark.pair(4, fault="fault", place="program")
@pytest.mark.parametrize(("fault", "program"), PAIRS)
def test_a_program(faulty: Faulty, fault: str, program: str) -> None:
    # Each tick looks at everything again: what a tick without Django lacks is made up for at once.
    faulty.server.write_environment(CHECKNINER_BACKUPS_FULL_CHECK_EVERY="0")
    faulty.change()
    python = faulty.application.virtualenv / "bin" / "python"
    if program == "python":
        kept = python.with_name("real-python")
        python.rename(kept)
        _write(python, fault, kept)
    try:
        done = faulty.run({"programs": str(_programs(faulty, program, fault))}, "run", timeout=180)
    finally:
        if program == "python":
            python.unlink()
            kept.rename(python)
    if done.returncode == 16:  # the SQL alone is saved, and said to be so
        assert "only the SQL can be saved" in done.stderr
    if program == "ssh-keygen":
        assert "the archive is not signed" in done.stderr
    faulty.check(done, *PROGRAMS[program])


def _programs(faulty: Faulty, program: str, fault: str) -> Path:
    """Make a folder with PostgreSQL's real programs, and one program that is wrong."""
    folder = faulty.folder / "programs"
    shutil.rmtree(folder, ignore_errors=True)
    real = find_binaries()
    binaries = folder / "postgresql" / real.parent.name / "bin"
    binaries.mkdir(parents=True)
    for name in ("pg_dump", "psql"):
        (binaries / name).symlink_to(real / name)
    if program in ("pg_dump", "psql"):
        (binaries / program).unlink()
        _write(binaries / program, fault, real / program)
    elif program != "python":
        found = shutil.which(program)
        assert found
        _write(folder / program, fault, Path(found))
    faulty.application.owner.own(folder)
    return folder


def _write(path: Path, fault: str, real: Path) -> None:
    text = FAULTS[fault]
    path.write_text("#!/nonexistent\n" if text is None else f"#!/bin/sh\n{text.format(name=path.name, real=real)}\n")
    path.chmod(0o755)


@pytest.mark.pair(9, fault="kind", place="most")
@pytest.mark.parametrize(("kind", "most"), [(kind, most) for kind, values in LIMITS.items() for most in values])
def test_too_little_of_something(faulty: Faulty, kind: str, most: int) -> None:
    """Of the size of files, as on a full disk; of open files."""
    faulty.change()
    done = faulty.run({"limits": {kind: most}}, "run")
    faulty.check(done, *range(3, 13), 0)


@pytest.mark.pair(9, fault="read-only folder", place="name")
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_written(faulty: Faulty, name: str) -> None:
    faulty.change()
    folder = faulty.application.state_path / name
    folder.chmod(0o500)
    try:
        done = faulty.run({}, "run")
    finally:
        folder.chmod(0o700)
    faulty.check(done, 3, 6, 11, 0)


@pytest.mark.pair(2, fault="environment", place="tick")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_odd_environment_changes_nothing(faulty: Faulty, environment: str) -> None:
    faulty.change()
    done = faulty.run({}, "run", environment=ENVIRONMENTS[environment])
    faulty.check(done, 0)
