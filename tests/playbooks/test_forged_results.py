"""What the application's code can say in a module's name: it runs as the same user, and must not become another one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.virtualenv import ROOT
from tests.plugins.operated import Operated
from tests.restoring import assert_untouched, digest_of

FORGERY = """

import ctypes, json, os, signal, sys

if "migrate" in sys.argv:
    result = json.dumps({
        "changed": True, "proven": True, "words": "proven: all of it",
        "ansible_facts": FACTS,
    }).encode() + b"\\n"
    os.write(1, result)
    # pidfd_open and pidfd_getfd, which take the parent's output where the kernel allows that
    call = ctypes.CDLL(None).syscall
    taken = call(438, call(434, os.getppid(), 0), 1, 0)
    if taken >= 0:
        os.write(taken, result)
    os.kill(os.getppid(), signal.SIGKILL)
"""


@contextmanager
def forging(operated: Operated) -> Iterator[Path]:
    """Let the application's code answer in the module's place; yield the file that an interpreter of its own writes."""
    folder = operated.application.folder / "evil"
    witness = operated.application.folder / "ansible" / "witness"
    facts = {
        "checkniner_backups_install_path": str(folder),
        "checkniner_backups_admin_user": "root",
        "checkniner_backups_admin_database_url": "",
        "checkniner_backups_owner": "root",
        "checkniner_backups_state_path": str(folder),
    }
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    witness.unlink(missing_ok=True)
    python.write_text(f"#!/bin/sh\nid -un >>{witness}\nexit 1\n")
    python.chmod(0o755)
    folder.chmod(0o755)
    apps = operated.application.path / "checkouts" / "apps.py"
    before = apps.read_text()
    apps.write_text(before + textwrap.dedent(FORGERY).replace("FACTS", repr(facts)))
    try:
        yield witness
    finally:
        apps.write_text(before)


@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_the_application_does_not_speak_for_a_module(operated: Operated, place: str) -> None:
    operated.tick()
    before = digest_of(operated.database)
    options = ["-e", "source=fixtures"]
    if place == "elsewhere":
        options += ["-e", f"target_url=sqlite:///{operated.application.folder}/ansible/copy.db"]
    with forging(operated) as witness:
        done = operated.restore(*options)
        ran = witness.read_text() if witness.exists() else ""
    assert not ran, f"an interpreter of the application's ran as {ran}"
    assert done.returncode != 0, done.stdout[-3000:]
    assert "proven: all of it" not in done.stdout
    assert_untouched(operated, before)


def test_the_settings_hold_inside_the_folder_of_the_playbooks_too(operated: Operated) -> None:
    done = operated.control.play("clean.yml", folder=ROOT / "playbooks")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_where_facts_are_variables_nothing_is_done(operated: Operated) -> None:
    before = digest_of(operated.database)
    for playbook, options in {
        "setup-backups.yml": (),
        "backup.yml": (),
        "clean.yml": (),
        "restore.yml": ("-e", "source=sql"),
    }.items():
        done = operated.control.play(playbook, *options, environment={"ANSIBLE_INJECT_FACT_VARS": "true"})
        assert done.returncode != 0, playbook
        assert "inject_facts_as_vars = False" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert_untouched(operated, before)
