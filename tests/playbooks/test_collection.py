"""The collection: built, installed into an empty home, and run by its full names with an empty `ansible.cfg`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from release import checks
from release.project import engine_version
from sandbox.control import Control
from sandbox.server import Server
from sandbox.virtualenv import ROOT
from tests.docs.blocks import blocks
from tests.plugins.application import RunningApplication
from tests.restoring import digest_of

PAGE = ROOT / "docs" / "collection.md"
SAFE = "export ANSIBLE_INJECT_FACT_VARS=false"


@dataclass(frozen=True)
class Home:
    """An operator's home with the collection installed, and what the page on the collection says."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What tells Ansible to look nowhere else."""
        return {"HOME": str(self.folder), "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}

    @property
    def installed(self) -> Path:
        """The collection's folder."""
        return self.folder / ".ansible" / "collections" / "ansible_collections" / "checkniner" / "backups"

    def run(self, *command: str) -> str:
        """Run a command of Ansible's in the home; return its output."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        program = str(Path(sys.executable).with_name(command[0]))
        done = subprocess.run([program, *command[1:]], cwd=self.folder, env={**kept, **self.environment},
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def commands() -> list[str]:
    """Return the lines of the page's commands."""
    return [line for block in blocks(PAGE) if block.language == "sh" for line in block.text.splitlines()]


def options(playbook: str) -> list[str]:
    """Return the options that the page gives to a playbook, without the inventory."""
    (line,) = [line for line in commands() if f" {playbook}" in line]
    return line.partition(playbook)[2].split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    made = Home(folder)
    (folder / "ansible.cfg").touch()
    build = [str(ROOT / "scripts" / "collection"), "--output", str(folder / "dist")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    said = subprocess.run(build, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True)
    archive = Path(said.stdout.strip())
    assert archive.is_relative_to(folder)
    (install,) = [line for line in commands() if "collection install" in line]
    made.run(*install.replace("dist/checkniner-backups-*.tar.gz", str(archive)).split())
    return made


@pytest.fixture
def by_full_name(home: Home, server: Server, control: Control) -> Control:
    """An operator whose only Ansible is the installed collection."""
    assert SAFE in commands()
    return control


def play(
    home: Home, control: Control, playbook: str, *more: str, safe: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a playbook of the collection as the page says."""
    environment = dict(home.environment)
    if safe:
        name, _, value = SAFE.removeprefix("export ").partition("=")
        environment[name] = value
    given = options(playbook) if any(f" {playbook}" in line for line in commands()) else []
    return control.play(playbook, *given, *more, folder=home.folder, environment=environment)


def test_a_server_is_set_up_and_restored(home: Home, by_full_name: Control, application: RunningApplication) -> None:
    done = play(home, by_full_name, "checkniner.backups.setup_backups")
    told = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "PROVEN: this machine has opened db/" in told
    assert "NOT PROVEN" not in told
    application.owner.run(by_full_name.command)  # what cron runs is what the collection has brought
    before = digest_of(application.database)
    application.change()
    assert digest_of(application.database) != before
    done = play(home, by_full_name, "checkniner.backups.restore")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert digest_of(application.database) == before
    assert "proven" in done.stdout
    again = play(home, by_full_name, "checkniner.backups.setup_backups")
    assert again.returncode == 0, again.stdout[-4000:]
    assert "changed=0" in again.stdout


def test_where_facts_are_variables_nothing_is_done(home: Home, by_full_name: Control) -> None:
    """Ansible's default: the collection refuses, before it runs anything as the application's owner, and says how."""
    for playbook in ("setup_backups", "backup", "clean", "restore", "drill"):
        done = play(home, by_full_name, f"checkniner.backups.{playbook}", safe=False)
        told = " ".join(done.stdout.split())
        assert done.returncode != 0, playbook
        assert SAFE.removeprefix("export ") in told, done.stdout[-2000:]
        assert "changed=0" in told
    assert not Path(by_full_name.variables["checkniner_backups_install_path"]).exists()


def test_the_role_works_in_a_playbook_of_ones_own(home: Home, by_full_name: Control) -> None:
    (block,) = [block for block in blocks(PAGE) if block.language == "yaml"]
    own = home.folder / "site.yml"
    own.write_text("---\n" + block.text.replace("hosts: servers", "hosts: all"))
    done = play(home, by_full_name, str(own), "--check")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "the engine would be installed at" in done.stdout


def test_every_playbook_of_the_checkout_has_its_full_name(home: Home) -> None:
    names = {path.stem.replace("-", "_") for path in (ROOT / "playbooks").glob("*.yml") if path.exists()}
    assert {path.stem for path in (home.installed / "playbooks").glob("*.yml")} == names - {"inventory"}
    assert all(name.isidentifier() for name in names)


def test_its_modules_are_documented_under_their_full_names(home: Home) -> None:
    names = sorted(path.stem for path in (ROOT / "library").glob("*.py"))
    told = json.loads(
        home.run("ansible-doc", "--json", "-t", "module", *(f"checkniner.backups.{name}" for name in names))
    )
    assert len(told) == len(names)
    for name, facts in told.items():
        assert name in facts["examples"], f"{name}: the example calls it by another name"


def test_nothing_in_it_has_a_name_of_the_checkout(home: Home) -> None:
    """What the build did not rewrite would work beside a checkout only."""
    for path in home.installed.rglob("*"):
        assert not path.is_symlink(), path
        if path.suffix == ".py":
            assert "ansible.module_utils.checkniner" not in path.read_text(), path
        if path.suffix in (".yml", ".j2"):
            text = path.read_text()
            assert "playbooks/" not in text, path
            assert not re.search(r"^ *(- )?checkniner_(?!backups)\w+:$", text, re.MULTILINE), path
    (pip,) = [line for line in commands() if " pip install " in line]
    assert Path(pip.split()[-1].replace("~", str(home.folder))).is_file()


def test_ansibles_own_tools_find_no_fault(home: Home) -> None:
    (archive,) = (home.folder / "dist").glob("*.tar.gz")
    assert checks.check(archive, "checkniner", "backups") == 0


def test_it_states_the_version_of_the_engine(home: Home) -> None:
    manifest = json.loads((home.installed / "MANIFEST.json").read_text())["collection_info"]
    assert manifest["version"] == engine_version()
    assert f"{manifest['namespace']}.{manifest['name']}" == "checkniner.backups"
