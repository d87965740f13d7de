"""What needs a human first, and the commands that mend it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import timedelta

import pytest
from checkniner_backups.drill.record import BAD, DRILLED, GOOD, Trial
from checkniner_backups.maintenance import problems
from checkniner_backups.overview.hosts import Host, host_of, told_by
from checkniner_backups.overview.needs import _ORDER, Commands, needs
from checkniner_backups.overview.tables import need_lines, sentence, status_lines

from tests.overview_world import COMMANDS, NOW, answer, asked, fleet, of_fleet, stored


def found(host: Host) -> list[tuple[str, bool]]:
    """Return the kinds of what needs a human on one server, and whether each is urgent."""
    return [(need.kind, need.urgent) for need in needs([host], COMMANDS)]


def test_the_most_urgent_comes_first_over_all_servers() -> None:
    kinds = [need.kind for need in of_fleet()]
    assert kinds == ["failing", "not-installed", "unreachable", "store-unasked", "drill"]
    told = sentence(fleet(), of_fleet())
    assert told.startswith("NOT WELL: club.example.org: ticks have failed for 3 h")
    assert told.endswith("(and 3 more)")  # a drill is good to do, and not urgent
    lines = status_lines(fleet(), of_fleet())
    assert [line.split()[0] for line in lines] == [
        "HOST", "shop.example.org", "club.example.org", "old.example.org", "new.example.org",
    ]  # fmt: skip
    assert "…" in lines[2]
    assert lines[1].split()[1] == "well"
    assert "   ansible-playbook -i inventory.yml playbooks/setup-backups.yml --limit new.example.org" in need_lines(
        of_fleet()
    )


def test_every_kind_of_problem_has_its_place_and_a_command() -> None:
    kinds = {value for name, value in vars(problems).items() if name.isupper() and isinstance(value, str)} - {"failed"}
    assert len(kinds) >= 16
    assert kinds < set(_ORDER)
    for kind in _ORDER:
        commands = COMMANDS.mending(kind, "a host")
        assert commands, kind
        assert all("'a host'" in each for each in commands), kind


def test_what_the_server_names_is_in_the_command_only_if_it_is_what_it_should_be() -> None:
    key = "db/2026-11-22T19:35:00.tar.gz.gpg"
    (command,) = COMMANDS.mending("shrunk", "shop", key)
    assert shlex.split(command)[-5:] == [f"archive={key}", "-e", "target_database=before_the_loss"][-5:] or (
        f"archive={key}" in command
    )
    for hostile in (
        "db/x other_server=true",
        "db/$(id)/2026-11-22T19:35:00.tar.gz",
        "{{ 1 }}/2026-11-22T19:35:00.tar.gz",
    ):
        assert hostile not in " ".join(COMMANDS.mending("shrunk", "shop", hostile))
    assert "A" * 40 in COMMANDS.mending("key", "shop", "A" * 40)[0]
    assert "--homedir" not in " ".join(COMMANDS.mending("key", "shop", "--homedir=/x"))
    assert (
        Commands(["my hosts.yml"], {}).play("list", "shop").startswith("ansible-playbook -i 'my hosts.yml' playbooks/")
    )


def test_of_the_store() -> None:
    there = stored()
    good = answer(there.archives[0].key)
    host = host_of(asked("shop", good) | {"stored": there.as_dict()})
    assert found(host) == []
    assert found(host_of({"name": "shop", "stored": there.as_dict()})) == []
    vanished = host_of(asked("shop", answer("shop/2026-11-22T19:30:00.tar.gz.gpg")) | {"stored": there.as_dict()})
    assert found(vanished) == [("vanished", True)]
    # Older than what was listed: nobody knows.
    old = host_of(asked("shop", answer("shop/2016-11-22T19:30:00.tar.gz.gpg")) | {
        "stored": replace(there, more=True).as_dict()
    })  # fmt: skip
    assert found(old) == []
    assert found(host_of({"name": "shop", "stored": replace(there, archives=(), gap=None).as_dict()})) == [
        ("empty", True)
    ]
    assert found(host_of({"name": "shop", "stored": replace(there, archives=(), newest=False).as_dict()})) == []
    ahead = replace(there, ahead=("shop/2099-01-01T00:00:00.tar.gz.gpg",))
    assert found(host_of({"name": "shop", "stored": ahead.as_dict()})) == [("ahead", True)]


@pytest.mark.parametrize(
    ("days", "verdict", "expected"),
    [(89, GOOD, []), (91, GOOD, [("drill", False)]), (1, BAD, [("bad-drill", True)]), (None, "", [("drill", False)])],
)
def test_of_drills(days: int | None, verdict: str, expected: list[tuple[str, bool]]) -> None:
    trials = () if days is None else (Trial(NOW - timedelta(days=days), DRILLED, verdict),)
    assert found(host_of({"name": "shop", "stored": replace(stored(), trials=trials).as_dict()})) == expected


def test_a_server_may_answer_anything() -> None:
    nonsense = [
        "", "{", "[]", "null", '"x"', "1", "[" * 100_000, '{"last_key": {}}',
        json.dumps({"last_key": 1, "found": [1, None, {"text": [1]}], "keys": [None, {"days_left": 1e400}]}),
        json.dumps({"last_key": "k", "found": "x", "disks": [{"free": True}], "last_saved_age": float("nan")}),
        json.dumps({"last_key": "k", "problems": ["old"], "last_rehearsal": [], "versions": 3, "last_size": 10**400}),
    ]  # fmt: skip
    for text in nonsense:
        host = host_of(asked("shop", text))
        assert host.told or host.fault
        assert sentence([host], needs([host], COMMANDS))
        status_lines([host], [])
    told = told_by(nonsense[-1])
    assert told
    assert (told.well, told.sentence, told.last_size) == (False, "old", None)  # an earlier release told no kinds
    steering = told_by(answer("k", {"kind": "x", "text": "\x1b[2Jgone\n" + "y" * 10_000, "subject": ""}))
    assert steering
    assert steering.sentence.startswith("\\x1b[2Jgone y")
    assert len(steering.sentence) <= 600
    for damaged in ({"archives": 1}, {"archives": [{}]}, "x", {**stored().as_dict(), "asked_at": "now"}):
        assert host_of({"name": "shop", "stored": damaged}).store_fault


def test_why_a_server_could_not_be_asked() -> None:
    cases = [
        (
            {"unreachable": "Task failed: Failed to connect to the host via ssh: no route"},
            ("unreachable", "the server does not answer: no route"),
        ),
        ({"installed": False}, ("not-installed", "no backups are installed on this server")),
        ({"failure": "no sudo"}, ("unanswered", "the server could not be asked: no sudo")),
        (
            {"installed": True, "status": 3, "output": "", "errors": "one\nlast\n"},
            ("unanswered", "its status ended with 3: last"),
        ),
        (
            {
                "installed": True,
                "status": 3,
                "output": "",
                "errors": "2026-11-28T22:23:27+0000 ERROR no file\n2026-11-28T22:23:27+0000 ERROR HINT: make one\n",
            },
            ("unanswered", "its status ended with 3: no file. make one"),
        ),
        ({"installed": True, "status": 1, "output": answer("k"), "errors": ""}, ("unanswered",)),
    ]
    for given, expected in cases:
        fault = host_of({"name": "shop", **given}).fault
        assert fault
        assert fault[: len(expected)] == expected
