"""What an inventory with several servers, and the words of the command line, mean to the playbooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.virtualenv import ROOT
from tests.plugins.operated import Operated
from tests.restoring import assert_untouched, digest_of

NONE_SUCH = ("-e", "source=sql", "-e", "archive=db/2001-01-01T00:00:00.tar.gz.gpg")


def with_another(operated: Operated, folder: Path, **changes: object) -> tuple[str, ...]:
    """Return the options that add a second server to the inventory."""
    path = folder / "others.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"all": {"hosts": {"other": {**operated.control.variables, **changes}}}}))
    return ("-i", str(path))


def test_one_server_is_restored_at_a_time(operated: Operated, tmp_path: Path) -> None:
    before = digest_of(operated.database)
    two = with_another(operated, tmp_path)
    done = operated.restore(*two, *NONE_SUCH)
    told = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "this would be done on 2 servers: server, other" in told
    assert "--limit" in told
    assert "2001-01-01" not in told
    for one in (("--limit", "server"), ("-e", "all_servers=true")):
        done = operated.restore(*two, *one, *NONE_SUCH)
        assert "this would be done on" not in done.stdout
        assert "2001-01-01" in done.stdout
    assert_untouched(operated, before)


@pytest.mark.parametrize("playbook", ["setup-backups.yml", "restore.yml", "prune.yml"])
def test_two_servers_below_one_prefix_are_refused_by_name(operated: Operated, tmp_path: Path, playbook: str) -> None:
    before = digest_of(operated.database)
    store = "https://s3.example.net"
    shared = ("-e", f"checkniner_backups_s3_endpoint_url={store}", "-e", "source=sql", "--limit", "server")
    done = operated.control.play(playbook, *with_another(operated, tmp_path), *shared)
    told = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "server and other would save below the same prefix" in told
    assert_untouched(operated, before)
    # With a prefix of its own for each, the next thing is to ask that store, which there is not.
    apart = with_another(operated, tmp_path, checkniner_backups_s3_prefix="other/")
    done = operated.control.play(playbook, *apart, *shared)
    assert "would save below" not in done.stdout
    assert_untouched(operated, before)


def test_each_tag_does_its_part_of_the_set_up(operated: Operated) -> None:
    parts = {
        "engine": "Find the engine's files",
        "config": "Import the public key",
        "schedule": "these are the lines for it",
        "prove": "PROVEN: this machine has opened",
    }
    for tag in parts:
        done = operated.control.play("setup-backups.yml", "--tags", tag)
        told = " ".join(done.stdout.split())
        assert done.returncode == 0, done.stdout[-3000:]
        assert "changed=0" in told
        assert {name for name, text in parts.items() if text in told} == {tag}, told[-3000:]
        assert "Look who is connected" in told  # whatever is done


PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml") if path.exists())


@pytest.mark.parametrize("playbook", [name for name in PLAYBOOKS if name != "require_servers.yml"])
def test_no_playbook_succeeds_without_a_server(playbook: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.yml"
    empty.write_text("all:\n  hosts:\n")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(tmp_path)}
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", empty]
    for folder, name in ((ROOT, f"playbooks/{playbook}"), (ROOT / "playbooks", playbook)):
        done = subprocess.run([*command, name, "-e", "source=sql"], cwd=folder, env=environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        assert done.returncode != 0, folder
        assert "no server: the inventory names none" in " ".join(done.stdout.split())


def test_the_inventory_beside_the_readme_is_the_default() -> None:
    for folder in (ROOT, ROOT / "playbooks"):
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-config"), "dump", "--only-changed", "--format", "json"],
            cwd=folder, env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_CONFIG": str(folder / "ansible.cfg")},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        (found,) = (each["value"] for each in json.loads(done.stdout) if each.get("name") == "DEFAULT_HOST_LIST")
        assert [Path(path).resolve() for path in found] == [ROOT / "inventory.yml"]


def test_a_server_that_is_to_have_no_backups_does_not_stop_the_others(operated: Operated, tmp_path: Path) -> None:
    folder = operated.application.folder
    places = {
        f"checkniner_backups_{what}_path": str(folder / f"gone-{what}")
        for what in ("install", "config", "state", "log")
    }
    two = with_another(operated, tmp_path, checkniner_backups_state="absent", checkniner_backups_name="gone", **places)
    done = operated.control.play("setup-backups.yml", *two)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "PROVEN: this machine has opened" in " ".join(done.stdout.split())
    assert "NOT PROVEN" not in done.stdout
    operated.tick()


@pytest.mark.parametrize("word", ["false", "no", "0", "off"])
def test_a_no_on_the_command_line_is_a_no(operated: Operated, word: str) -> None:
    before = digest_of(operated.database)
    done = operated.restore(*NONE_SUCH, "-e", f"undo={word}", "-e", f"drop_previous={word}")
    assert "2001-01-01" in done.stdout, done.stdout[-2000:]
    done = operated.restore("-e", f"drop_previous={word}")
    assert done.returncode != 0
    assert "-e source=sql" in " ".join(done.stdout.split())
    assert_untouched(operated, before)


def test_a_second_application_can_be_rehearsed(operated: Operated) -> None:
    """The engine is there, and nothing else of it."""
    places = {
        "checkniner_backups_name": "second",
        "checkniner_backups_state_path": str(operated.application.folder / "second"),
        "checkniner_backups_s3_prefix": "second/",
    }
    options = [each for name, value in places.items() for each in ("-e", f"{name}={value}")]
    done = operated.control.play("setup-backups.yml", "--check", "--diff", *options)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not (operated.application.folder / "second").exists()
    assert not Path(operated.control.variables["checkniner_backups_config_path"], "second.env").exists()
