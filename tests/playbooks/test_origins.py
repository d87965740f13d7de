"""Whoever may write to the bucket lays an archive there, as the newest: the playbooks take this server's alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.plugins.operated import Operated
from tests.restoring import assert_untouched, digest_of, old_archive


@contextmanager
def planted(operated: Operated, body: bytes, minutes: int = 30) -> Iterator[str]:
    """Given an archive's bytes, yield the key under which they lie in the bucket as the newest archive."""
    client, bucket = operated.control.store.client(), operated.control.bucket
    # So far ahead that it is the newest, and not so far that it is of the future.
    key = f"db/{datetime.now(timezone.utc) + timedelta(seconds=minutes):%Y-%m-%dT%H:%M:%S}.tar.gz.gpg"
    client.put_object(Bucket=bucket, Key=key, Body=body)
    yield key
    client.delete_object(Bucket=bucket, Key=key)


def said(operated: Operated, *options: str) -> tuple[int, str]:
    """Run restore.yml; return its status and what it printed, on one line."""
    done = operated.restore("-e", "source=sql", *options)
    return done.returncode, " ".join(done.stdout.split())


def newest(operated: Operated) -> bytes:
    """Return the newest archive's bytes."""
    key = [each for each in operated.stored() if each.startswith("db/2")][-1]
    body: bytes = operated.control.store.client().get_object(Bucket=operated.control.bucket, Key=key)["Body"].read()
    return body


def test_an_archive_that_is_not_signed(operated: Operated) -> None:
    before = digest_of(operated.database)
    with planted(operated, old_archive(operated, operated.control.keyring, operated.control.key.fingerprint)) as key:
        status, shown = said(operated)
        assert status != 0
        assert f"{key} is not signed" in shown
        assert "-e unsigned=true" in shown
        assert_untouched(operated, before)
        status, shown = said(operated, "--check", "-e", "unsigned=true")
        assert status == 0, shown[-2000:]


def test_an_older_archive_that_somebody_copied_to_a_newer_name(operated: Operated) -> None:
    """It would undo what was entered since, and be signed and proven."""
    before = digest_of(operated.database)
    with planted(operated, newest(operated)) as key:
        status, shown = said(operated, "-e", "other_server=true", "-e", "unsigned=true")
    assert status != 0
    assert f"{key} was made under the name" in shown
    assert_untouched(operated, before)


def test_the_proof_and_the_drill_are_of_this_servers_archive(operated: Operated) -> None:
    own = [each for each in operated.stored() if each.startswith("db/2")][-1]
    with planted(operated, old_archive(operated, operated.control.keyring, operated.control.key.fingerprint)) as key:
        proven = operated.control.play("setup-backups.yml", "--tags", "prove")
        drilled = operated.control.play("drill.yml")
    for record in [each for each in operated.stored() if each.startswith("db/drills/")]:  # other tests share the bucket
        operated.control.store.client().delete_object(Bucket=operated.control.bucket, Key=record)
    shown = " ".join(proven.stdout.split())
    assert f"PROVEN: this machine has opened {own}, found it signed by this server" in shown, shown[-3000:]
    assert drilled.returncode != 0
    assert f"{key} is not signed" in " ".join(drilled.stdout.split()), drilled.stdout[-3000:]


def test_a_server_that_signs_with_another_key_is_refused_until_somebody_says_that_it_was_made_anew(
    operated: Operated, tmp_path: Path
) -> None:
    known = operated.control.folder / "known_origins"
    before, own = known.read_text(), newest(operated)
    assert before.count("checkniner@server ") == 1
    for half in ("signing_key", "signing_key.pub"):
        (operated.state_path / half).rename(tmp_path / half)
    refused = operated.control.play("setup-backups.yml", "--tags", "config")
    assert refused.returncode != 0
    shown = " ".join(refused.stdout.split())
    assert "checkniner@server signs with the key SHA256:" in shown
    assert "-e new_origin=true" in shown
    assert known.read_text() == before

    taken = operated.control.play("setup-backups.yml", "--tags", "config", "-e", "new_origin=true")
    assert taken.returncode == 0, taken.stdout[-3000:]
    assert known.read_text().count("checkniner@server ") == 2
    # What was signed before is still this server's: it is what one restores on a server that was made anew.
    status, shown = said(operated, "--check")
    assert status == 0, shown[-2000:]
    operated.change()
    operated.tick()
    assert newest(operated) != own
    status, shown = said(operated, "--check")
    assert status == 0, shown[-2000:]


def test_another_servers_archive(operated: Operated, tmp_path: Path) -> None:
    """Its key is known for another name: the message says which."""
    control, before = operated.control, digest_of(operated.database)
    known = control.folder / "known_origins"
    mine, kept = known.read_text(), control.variables
    try:
        known.write_text(mine.replace("checkniner@server ", "checkniner@web2 "))
        status, shown = said(operated)
        assert status != 0
        assert "was not made by checkniner@server, but by" in shown
        assert "known as checkniner@web2" in shown
        assert "-e other_server=true" in shown
        assert_untouched(operated, before)
        status, shown = said(operated, "--check", "-e", "other_server=true")
        assert status == 0, shown[-2000:]
    finally:
        known.write_text(mine)
        control.variables = kept


def test_what_is_needed_by_hand_is_ssh_keygen_alone(operated: Operated, tmp_path: Path) -> None:
    """The archive, opened with gpg and tar, and the file of known origins: as docs/security.md says."""
    archive = tmp_path / "newest.tar.gz.gpg"
    archive.write_bytes(newest(operated))
    (tmp_path / "newest.tar.gz").write_bytes(operated.control.keyring.gpg("--decrypt", str(archive)))
    subprocess.run(["tar", "-xzf", "newest.tar.gz"], cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "manifest.json").read_text())["origin"]["fingerprint"].startswith("SHA256:")
    known = operated.control.folder / "known_origins"
    command = ["ssh-keygen", "-Y", "verify", "-f", known, "-I", "checkniner@server", "-n", "checkniner-backups"]
    verify = [*command, "-s", tmp_path / "manifest.json.sig"]
    with (tmp_path / "manifest.json").open("rb") as manifest:
        done = subprocess.run(verify, stdin=manifest, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_inventory_that_is_a_folder_is_not_taken_for_its_origins(operated: Operated, tmp_path: Path) -> None:
    """Ansible reads each file of such a folder as a part of the inventory, but for some endings."""
    control = operated.control
    (tmp_path / "hosts.json").write_text(control.write_inventory().read_text())
    given = control.invocation("setup-backups.yml", "--tags", "config")
    given["args"][given["args"].index("-i") + 1] = str(tmp_path)
    for _ in range(2):
        done = subprocess.run(**given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "WARNING" not in done.stderr, done.stderr
    assert (tmp_path / "known_origins.txt").read_text().count("checkniner@server ") == 1
