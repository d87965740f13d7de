"""`status --store`: whether the store holds the newest archive as it was remembered, and what time it is there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from checkniner_backups.maintenance import stored
from checkniner_backups.settings import from_environment
from checkniner_backups.state.folder import State

from sandbox.server import Server

NOT_WELL = 18


def told(server: Server, *options: str, status: int) -> dict[str, Any]:
    """Return what `status` says as JSON, which must end with this exit status."""
    done = server.run("status", "--json", *options, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def kinds(said: dict[str, Any]) -> list[str]:
    """Return the kinds of the problems that `status` tells."""
    return [each["kind"] for each in said["found"]]


def key(server: Server) -> str:
    """Return the key of the archive that a first tick saves."""
    return str(server.tick()["key"])


def test_an_archive_that_is_there_is_as_remembered(server: Server) -> None:
    key(server)
    for identity in ("server", "operator"):  # who may not send a HEAD, and who may
        who = server.store.identities[identity]
        server.write_environment(S3_ACCESS_KEY=who.access_key, S3_SECRET_KEY=who.secret_key)
        said = told(server, "--store", status=0)
        assert (said["stored"], said["well"]) == ("as remembered", True)
        assert abs(said["clock_ahead"]) < 5
    assert "as remembered" in server.run("status", "--store").stdout
    for each in (server.state_path / "archives").glob("*T*"):
        each.unlink()
    assert told(server, "--store", status=0)["stored"] == "as remembered"  # by the digest that was sent with it
    who = server.store.identities["server"]
    server.write_environment(S3_ACCESS_KEY=who.access_key, S3_SECRET_KEY=who.secret_key)
    assert told(server, "--store", status=0)["stored"].startswith("the size is as remembered, the digest cannot be")


def test_it_takes_one_head(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_key = key(server)
    who = server.store.identities["operator"]
    settings = from_environment(
        {**server.environment, "S3_ACCESS_KEY": who.access_key, "S3_SECRET_KEY": who.secret_key}
    )
    made = []

    class Counting(stored.Store):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(stored, "Store", Counting)
    saved = State(server.state_path).load()
    assert saved
    assert saved.key == saved_key
    assert stored.ask(settings, saved).newest == stored.AS_REMEMBERED
    assert [dict(each.requests) for each in made] == [{"HeadObject": 1}]


def test_one_that_is_gone_or_another_one_is_told(server: Server) -> None:
    saved = key(server)
    client = server.store.client()
    body = client.get_object(Bucket=server.bucket, Key=saved)["Body"].read()
    damaged = body[:-1] + bytes([body[-1] ^ 1])
    for other, words in (
        (body[:-1], f"it has {len(body) - 1} bytes, not {len(body)}"),
        (damaged, "its digest differs"),
    ):
        client.put_object(Bucket=server.bucket, Key=saved, Body=other)
        said = told(server, "--store", status=NOT_WELL)
        assert (said["stored"], kinds(said)) == ("not as remembered", ["altered"])
        assert words in said["sentence"]
    # Where our own copy is the damaged one, the store is not accused.
    (copy,) = [each for each in (server.state_path / "archives").glob("*T*") if not each.is_symlink()]
    client.put_object(Bucket=server.bucket, Key=saved, Body=body)
    copy.write_bytes(damaged)
    assert told(server, "--store", status=0)["stored"].startswith("the size is as remembered")
    client.delete_object(Bucket=server.bucket, Key=saved)
    said = told(server, "--store", status=NOT_WELL)
    assert (said["stored"], kinds(said)) == ("missing", ["lost"])
    assert said["sentence"].startswith(f"NOT WELL: the newest archive, {saved}, is no longer in bucket")
    told(server, status=0)  # nobody was asked


def test_a_store_that_cannot_be_asked_is_a_problem_with_the_exit_status_of_status(server: Server) -> None:
    key(server)
    server.write_environment(CHECKNINER_BACKUPS_S3_ENDPOINT_URL="http://127.0.0.1:9")
    asked = told(server, "--store", "--drill", status=NOT_WELL)
    assert [kind for kind in kinds(asked) if kind == "store"] == ["store", "store"]
    assert "no connection" in asked["problems"][0]
    plain = told(server, status=NOT_WELL)  # another endpoint is another setting
    assert kinds(plain) == ["settings"]
    assert (plain["stored"], plain["clock_ahead"]) == ("", None)


@contextmanager
def store_of_another_time(ahead: float, size: int, sha256: str) -> Iterator[str]:
    """A store whose clock is wrong: no real one can be told to. Yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(200)
            for name, value in (
                ("Date", formatdate(time.time() + ahead, usegmt=True)), ("Content-Length", str(size)),
                ("x-amz-meta-sha256", sha256), ("ETag", '"x"'),
            ):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_address[1]}"
        listener.shutdown()


@pytest.mark.parametrize(("ahead", "words"), [(30, ""), (-30, ""), (90, "ahead of"), (-90, "behind")])
def test_a_clock_that_differs_by_more_than_a_minute_is_told(server: Server, ahead: float, words: str) -> None:
    key(server)
    saved = State(server.state_path).load()
    assert saved
    settings = from_environment(server.environment)
    with store_of_another_time(ahead, saved.size, saved.sha256) as address:
        there = replace(settings, store=replace(settings.store, endpoint_url=address, addressing_style="path"))
        found = stored.ask(there, saved)
    assert found.clock_ahead == pytest.approx(ahead, abs=3)
    assert [each.kind for each in found.problems] == (["clock"] if words else [])
    if words:
        assert f"{words} this machine's" in found.problems[0].text


def test_what_else_is_told(server: Server) -> None:
    key(server)
    said = told(server, status=0)
    assert said["versions"].keys() == {"engine", "gpg", "postgresql_client", "python"}
    assert all(value[0].isdigit() for value in said["versions"].values()), said["versions"]
    (disk,) = said["disks"]
    assert disk["folders"] == ["work", "archives", "state"]
    assert disk["path"] == str(server.state_path)  # the work folder is there during a tick alone
    assert 2 * said["last_size"] < disk["needed"] < disk["free"]
    path = server.state_path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "size": 1 << 50}))
    said = told(server, status=NOT_WELL)
    assert kinds(said) == ["disk"]
    assert said["sentence"].startswith(f"NOT WELL: the next archive does not fit: the disk of {server.state_path} has ")
