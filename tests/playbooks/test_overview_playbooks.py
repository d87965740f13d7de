"""playbooks/status.yml and list.yml: all hosts of an inventory, whatever is wrong with some of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.operated import Operated

OTHERS: dict[str, dict[str, Any]] = {
    "gone": {
        "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9,
        "checkniner_backups_s3_prefix": "gone/",
    },
    "bare": {"checkniner_backups_install_path": "/does/not/exist", "checkniner_backups_s3_prefix": "bare/"},
    "wrong": {"checkniner_backups_list_count": "many", "checkniner_backups_s3_prefix": "wrong/"},
    "elsewhere": {"checkniner_backups_config_path": "/does/not/exist", "checkniner_backups_s3_bucket_name": "no-such"},
}  # fmt: skip


@pytest.fixture
def fleet(operated: Operated) -> Iterator[Operated]:
    """The server, and others of its inventory with which something is wrong."""
    operated.tick()
    operated.control.others = OTHERS
    yield operated
    operated.control.others = {}


def told(path: Path) -> dict[str, Any]:
    """Return what a playbook has written as JSON."""
    return dict(json.loads(path.read_text()))


def test_status_of_one_good_server(operated: Operated, tmp_path: Path) -> None:
    operated.tick()
    output, page = tmp_path / "all.json", tmp_path / "all.html"
    done = operated.control.play("status.yml", "-e", f"output={output}", "-e", f"page={page}", "-e", "store=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well on 1 host" in done.stdout
    for words in ("NEWEST ARCHIVE", "LAST GOOD TICK", operated.stored()[-1], "does not expire"):
        assert words in done.stdout, done.stdout
    said = told(output)
    assert (said["well"], [each["kind"] for each in said["needs"]]) == (True, ["drill"])
    assert said["hosts"]["server"]["status"]["last_key"] == said["hosts"]["server"]["stored"]["archives"][0]["key"]
    assert page.read_text().startswith("<!doctype html>")
    assert output.stat().st_mode & 0o777 == page.stat().st_mode & 0o777 == 0o600
    secret = operated.control.store.identities["operator"].secret_key
    assert not any(secret in text for text in (done.stdout, output.read_text(), page.read_text()))


def test_status_shows_every_host_and_fails_at_its_end(fleet: Operated, tmp_path: Path) -> None:
    output, page = tmp_path / "all.json", tmp_path / "all.html"
    done = fleet.control.play("status.yml", "-e", f"output={output}", "-e", f"page={page}")
    assert done.returncode != 0
    assert "NOT WELL: elsewhere: there is no archive in the store" not in done.stdout  # nobody knows what is there
    said = told(output)
    faults = {name: host["fault"] for name, host in said["hosts"].items()}
    assert faults["server"] == ""
    assert "the server does not answer: " in faults["gone"]
    assert "onnection refused" in faults["gone"]
    assert faults["bare"] == "no backups are installed on this server"
    assert "checkniner_backups_list_count" in faults["wrong"]
    assert "its status ended with 3: " in faults["elsewhere"]
    assert "cannot read the environment file" in faults["elsewhere"]
    assert "no such bucket" in said["hosts"]["elsewhere"]["store_fault"]
    kinds = {(each["host"], each["kind"]) for each in said["needs"]}
    assert {("gone", "unreachable"), ("bare", "not-installed"), ("wrong", "unanswered")} < kinds
    assert {("elsewhere", "unanswered"), ("elsewhere", "store-unasked"), ("gone", "empty")} < kinds
    for name in faults:
        assert name in page.read_text()
        assert f"<span>--limit</span> <span>{name}</span>" in page.read_text() or name in ("server", "gone")
    assert said["hosts"]["server"]["status"]["well"]
    lines = done.stdout
    assert "NOT WELL" in lines
    assert lines.index("HOST") < lines.index("1. ")


def test_list_needs_no_server(fleet: Operated, tmp_path: Path) -> None:
    fleet.control.others = {name: OTHERS[name] for name in ("gone", "elsewhere")}
    client = fleet.control.store.client()
    now = datetime.now(timezone.utc)
    for days in (1, 2, 30):
        key = f"gone/{now - timedelta(days=days):%Y-%m-%dT%H:%M:%S}.tar.gz.gpg"
        client.put_object(Bucket=fleet.control.bucket, Key=key, Body=b"0" * days)
    drill = now - timedelta(days=3)
    for name in (f"{drill:%Y-%m-%dT%H:%M:%S}.json", f"{drill - timedelta(days=1):%Y-%m-%dT%H:%M:%S}.bad.json"):
        client.put_object(Bucket=fleet.control.bucket, Key=f"gone/drills/{name}", Body=b"{}")
    output = tmp_path / "all.json"
    done = fleet.control.play("list.yml", "-e", f"output={output}")
    assert done.returncode != 0  # the bucket of one is not there
    found = told(output)["hosts"]
    assert "no such bucket" in found["elsewhere"]["store_fault"]
    assert [each["size"] for each in found["gone"]["stored"]["archives"]] == [1, 2, 30]
    assert found["gone"]["stored"]["gap"]["seconds"] == 28 * 86400
    assert found["gone"]["status"] is None
    for words in ("longest time without an archive, of these: 28 days", "last drill: good", "30 B", "30 days ago"):
        assert words in done.stdout, done.stdout
    fleet.control.others = {"gone": OTHERS["gone"]}
    bounds = (
        "-e",
        f"from={now - timedelta(days=3):%Y-%m-%d}",
        "-e",
        f"until={now - timedelta(days=1):%Y-%m-%dT%H:%M}Z",
    )
    done = fleet.control.play("list.yml", "--limit", "gone", *bounds, "-e", f"output={output}", "-e", "count=1")
    assert done.returncode == 0, done.stdout + done.stderr
    (only,) = told(output)["hosts"].values()
    assert [each["size"] for each in only["stored"]["archives"]] == [2]
    assert not only["stored"]["newest"]
    assert "server" not in told(output)["hosts"]
    done = fleet.control.play("list.yml", "-e", "from=2026-11-20 14:35")
    assert done.returncode != 0
    assert "write a time without a blank" in done.stdout


def test_a_store_that_says_nothing_holds_up_nobody_for_long(operated: Operated, tmp_path: Path) -> None:
    output = tmp_path / "all.json"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        operated.control.others = {"slow": {"checkniner_backups_s3_endpoint_url": address}}
        try:
            done = operated.control.play("list.yml", "-e", f"output={output}", "-e", "checkniner_backups_ask_timeout=5")
        finally:
            operated.control.others = {}
    assert done.returncode != 0
    found = told(output)["hosts"]
    assert found["slow"]["store_fault"] == "no answer within 5 s"
    assert found["server"]["stored"]["archives"]


def test_files_go_where_the_command_was_given_and_not_in_a_dry_run(operated: Operated) -> None:
    path = Path.cwd() / "overview-of-a-test.html"
    try:
        done = operated.control.play("list.yml", "--check", "-e", f"page={path.name}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not path.exists()
        environment = {"PWD": str(path.parent)}
        done = operated.control.play("list.yml", "-e", f"page={path.name}", environment=environment)
        assert path.is_file(), done.stdout + done.stderr
    finally:
        path.unlink(missing_ok=True)
