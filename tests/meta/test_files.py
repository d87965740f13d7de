"""Rules for every file."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys

import pytest

from .source import ENGINE, ROOT

LONGEST = 300  # lines
REASONED = {
    # one scenario, or one wall of cases, reads better whole
}
_OURS = re.compile(r"\.(py|yml|j2|md|sh|cfg|toml)$")


def tracked() -> list[str]:
    """Return the paths that git knows, or in an unpacked archive of the source, none."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    return [line for line in done.stdout.splitlines() if (ROOT / line).is_file() and not (ROOT / line).is_symlink()]


def test_no_source_is_long() -> None:
    long = {}
    for name in tracked():
        if name.endswith(".py") and not name.startswith("tests/"):
            lines = (ROOT / name).read_text().count("\n")
            if lines > LONGEST:
                long[name] = lines
    assert not long


def test_scripts_tell_what_they_do() -> None:
    for script in (ROOT / "scripts").iterdir():
        if script.is_file():
            assert script.stat().st_mode & stat.S_IXUSR, f"{script.name} cannot be run"
            assert re.match(r"#!.*\n# \S", script.read_text()), f"{script.name}: say on its second line what it does"


def test_the_engine_prints_nothing() -> None:
    for path in ENGINE.rglob("*.py"):
        if "worker" not in path.parts:
            assert not re.search(r"^\s*print\(", path.read_text(), re.MULTILINE), path.name


@pytest.mark.parametrize("pattern", [r"shell=True", r"os\.system\(", r"\beval\(", r"(?<!\.)\bexec\("])
def test_no_shell_strings(pattern: str) -> None:
    for folder in (ENGINE, ROOT / "library"):
        for path in folder.rglob("*.py"):
            assert not re.search(pattern, path.read_text()), f"{path.name}: {pattern}"


def test_nothing_private_is_tracked() -> None:
    for name in tracked():
        if _OURS.search(name):
            text = (ROOT / name).read_text()
            assert "/root/" not in text or name.startswith(("tests/meta/", "molecule/")), name
            assert not re.search(r"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n?\w", text), name


def test_tests_have_names_that_do_not_change() -> None:
    """Workers that collect at different seconds must find the same tests; or nothing is run side by side."""
    names = [
        subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/unit", "tests/integration"],
            cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout.partition(" tests collected")[0].rpartition("\n")[0]
        for seed in (1, 2)
    ]  # fmt: skip
    assert names[0].count("::") > 100
    assert names[0] == names[1]
