"""Check a built collection with Ansible's own tools, where it would be installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .project import ROOT

# These make a virtualenv with a pip that they download from a host of Ansible's, not from a package index.
DOWNLOADING = (
    "ansible-doc",
    "changelog",
    "import",
    "pep8",
    "pylint",
    "runtime-metadata",
    "validate-modules",
    "yamllint",
)
OURS = {
    "no-assert": "an assert tells mypy what the code before it has made sure of; it checks no input",
    "no-smart-quotes": "the engine takes the quotation marks of other languages out of a server's messages",
}


def check(archive: Path, namespace: str, name: str) -> int:
    """Given a collection's archive, install it into an empty folder and check it there; return an exit status."""
    with tempfile.TemporaryDirectory(prefix="cb-check-") as temporary:
        home = Path(temporary)
        environment = {**os.environ, "HOME": temporary, "ANSIBLE_HOME": f"{temporary}/.ansible",
                       "ANSIBLE_COLLECTIONS_PATH": temporary, "LC_ALL": "C.UTF-8"}  # fmt: skip
        environment.pop("ANSIBLE_CONFIG", None)
        _run(home, environment, "ansible-galaxy", "collection", "install", "--offline", "-p", temporary, str(archive))
        folder = home / "ansible_collections" / namespace / name
        listed = _run(folder, environment, "ansible-test", "sanity", "--list-tests").stdout.split()
        tests = [test for test in listed if test not in DOWNLOADING and test not in OURS]
        chosen = [word for test in tests for word in ("--test", test)]
        version = "{}.{}".format(*sys.version_info[:2])
        skipped: list[str] = []
        for command in (
            ("ansible-lint", "--offline", "-q", "--profile", "production"),
            ("yamllint", "--strict", "--config-file", str(ROOT / ".yamllint"), "."),
            ("ansible-test", "sanity", "--color", "no", "--python", version, *chosen),
        ):
            done = _run(folder, environment, *command, check=False)
            if done.returncode:
                sys.stderr.write(done.stdout + done.stderr)
                return done.returncode
            skipped += re.findall(r'Skipping sanity test "?([\w-]+)', done.stdout + done.stderr)
        tests = [test for test in tests if test not in skipped]
        sys.stdout.write(f"ansible-lint, yamllint: good. ansible-test sanity: good in {', '.join(tests)}\n")
        sys.stdout.write(f"not run, they download their own pip: {', '.join(DOWNLOADING)}\n")
        sys.stdout.write(f"not run, for want of a program: {', '.join(skipped)}\n" if skipped else "")
        sys.stdout.write("".join(f"not run, {test}: {reason}\n" for test, reason in OURS.items()))
    return 0


def _run(
    folder: Path, environment: dict[str, str], program: str, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=check,
                          stdin=subprocess.DEVNULL)  # fmt: skip
