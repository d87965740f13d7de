"""restore.yml: by both sources, an old archive, beside the live database, undone; and every wrong word on its line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.keys import Keyring
from tests.archives import archive
from tests.plugins.operated import Operated
from tests.plugins.postgres import Database
from tests.restoring import assert_untouched, digest_of, names_of, old_archive, stages_of

OLD = "db/2016-05-01T12:00:05.tar.gz.gpg"
MISTAKEN_OPERATOR = """#!/bin/sh
# A pinentry before which somebody sits who mistypes the passphrase, each time.
echo OK
while read -r word rest; do
    case $word in
        GETPIN) echo "D guess who" ;;
    esac
    echo OK
done
"""


WRONG = {
    "source": (["-e", "source=tape"], r"source is 'tape'.*-e source=sql"),
    "two archives": (["-e", "source=sql", "-e", "at=2026-01-01", "-e", "archive=db/x"], "exclude each other"),
    "no such table": (
        ["-e", "source=sql", "-e", "before_loss=order"],
        "no archive .* has a table.*auth_user",
    ),
    "no such archive": (["-e", "source=sql", "-e", "archive=db/2001-01-01T00:00:00.tar.gz.gpg"], "2001-01-01"),
    "before the first": (["-e", "source=sql", "-e", "at='2001-01-01 00:00 UTC'"], "the oldest one is"),
    "no such file": (["-e", "source=sql", "-e", "archive_file=/nonexistent.tar.gz.gpg"], "nonexistent"),
    "another database": (["-e", "source=sql", "-e", "checkniner_backups_database_name=mine"], "say mine"),
    "another role": (["-e", "source=sql", "-e", "checkniner_backups_database_role=me"], "say me"),
    "unknown app": (["-e", "source=fixtures", "-e", "apps=checkuots"], "checkuots"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_word_changes_nothing(operated: Operated, name: str) -> None:
    options, words = WRONG[name]
    before, keys = digest_of(operated.database), operated.stored()
    done = operated.restore(*options)
    assert done.returncode != 0
    assert re.search(words, " ".join(done.stdout.split())), done.stdout[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    assert_untouched(operated, before)
    assert operated.stored() == keys


@pytest.mark.parametrize("option", ["undo", "drop_previous"])
def test_the_wrong_database_is_not_gone_back_to_either(operated: Operated, option: str) -> None:
    done = operated.restore("-e", f"{option}=true", "-e", "checkniner_backups_database_name=mine")
    assert done.returncode != 0
    assert f"names the database {operated.database.name}" in " ".join(done.stdout.split()), done.stdout[-3000:]


def test_a_wrong_passphrase_changes_nothing(operated: Operated, tmp_path: Path) -> None:
    before = digest_of(operated.database)
    with Keyring() as keyring:
        pinentry, archive = keyring.home / "pinentry", tmp_path / "old.tar.gz.gpg"
        pinentry.write_text(MISTAKEN_OPERATOR)
        pinentry.chmod(0o700)
        with (keyring.home / "gpg-agent.conf").open("a") as conf:
            conf.write(f"pinentry-program {pinentry}\n")
        key = keyring.generate(passphrase="correct horse")
        archive.write_bytes(old_archive(operated, keyring, key.fingerprint))
        environment = {"GNUPGHOME": str(keyring.home)}
        done = operated.restore("-e", "source=sql", "-e", f"archive_file={archive}", environment=environment)
    assert done.returncode != 0
    assert "wrong passphrase for the private key" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert "guess who" not in done.stdout + done.stderr
    assert_untouched(operated, before)


def test_what_is_no_archive_of_the_application_is_not_opened_for_the_server(operated: Operated, tmp_path: Path) -> None:
    """Whoever may write to the store lays a letter to the operator there, and waits for a restore."""
    before = digest_of(operated.database)
    letter = tmp_path / "2026-01-01T00:00:00.tar.gz.gpg"
    plain = archive({"letter.txt": b"the combination is 1234"})
    keyring, to = operated.control.keyring, operated.control.key.fingerprint
    letter.write_bytes(keyring.gpg("--encrypt", "--trust-model", "always", "--recipient", to, data=plain))
    done = operated.restore("-e", "source=sql", "-e", f"archive_file={letter}", "-vvv")
    assert done.returncode != 0
    assert "this is no archive of a database" in " ".join(done.stdout.split())
    assert "combination" not in done.stdout
    assert_untouched(operated, before)


def test_a_restore_that_fails_on_the_way_leaves_all_as_it_was(operated: Operated) -> None:
    """The swap is refused: all before it was done, and is undone."""
    database = operated.database
    slot = f"slot_{database.name}"
    database.cluster.execute(
        "SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (slot,), database=database.name
    )
    try:
        before = digest_of(database)
        done = operated.restore("-e", "source=sql")
        assert done.returncode != 0
        words = " ".join(done.stdout.split())
        assert f"logical replication slot {slot}" in words
        assert "the running database is as it was" in words
        assert_untouched(operated, before)
    finally:
        database.cluster.execute("SELECT pg_drop_replication_slot(%s)", (slot,))


def test_a_play_that_is_killed_leaves_all_as_it_was_and_the_next_one_cleans_up(operated: Operated) -> None:
    operated.tick()
    database = operated.database
    before = digest_of(database)
    invocation = operated.control.invocation("restore.yml", "-e", "source=sql")
    play = subprocess.Popen(**invocation, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 120
    while not any("_restoring_" in name for name in names_of(database)):
        assert time.monotonic() < end
        assert play.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.killpg(play.pid, signal.SIGKILL)
    play.wait()
    assert digest_of(database) == before
    left = [path.name for path in (operated.state_path / "restore").iterdir()]
    assert all(".gpg" in name for name in left), left
    operated.change()
    done = operated.restore("-e", "source=sql")
    assert done.returncode == 0, done.stdout[-3000:]
    assert_untouched(operated, before)


def test_an_archive_of_the_old_scripts_is_found_and_said_to_be_unproven(operated: Operated) -> None:
    control, database = operated.control, operated.database
    client, bucket = control.store.client(), "old-scripts"
    control.store.create_bucket(bucket)
    before = control.variables["checkniner_backups_s3_bucket_name"]
    body = old_archive(operated, control.keyring, control.key.fingerprint)
    client.put_object(Bucket=bucket, Key=OLD, Body=body)
    digests = digest_of(database)
    operated.change()
    control.variables["checkniner_backups_s3_bucket_name"] = bucket
    try:
        # The safety backup would go to the server's own bucket, and that is what the environment file says.
        done = operated.restore("-e", "source=sql", "-e", "unsigned=true")
    finally:
        control.variables["checkniner_backups_s3_bucket_name"] = before
    assert done.returncode == 0, done.stdout[-3000:]
    words = " ".join(done.stdout.split())
    assert OLD in words
    assert "no manifest, not proven" in words
    assert re.search(r"nobody could connect for \d+\.\d\d s", words)
    assert digest_of(database) == digests
    kept = re.search(r"is kept as (\w+);", words)
    assert kept
    assert kept[1] in names_of(database)
    undone = operated.control.play("restore.yml", "-e", "undo=true")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert digest_of(database) != digests
    # By name, to any of them; a wrong one is told which there are.
    [newest] = re.findall(r"what was live is kept as (\w+)", " ".join(undone.stdout.split()))
    refused = operated.control.play("restore.yml", "-e", f"undo={database.name}_mine")
    assert refused.returncode != 0
    assert f"go back to another with -e undo=NAME: {newest}" in refused.stdout
    named = operated.control.play("restore.yml", "-e", f"undo={newest}")
    assert named.returncode == 0, named.stdout[-3000:]
    assert digest_of(database) == digests
    assert newest not in names_of(database)
    # Where nothing is live, nothing is kept in its place.
    [kept_now] = re.findall(r"what was live is kept as (\w+)", " ".join(named.stdout.split()))
    database.cluster.drop_database(database.name)
    undone = operated.control.play("restore.yml", "-e", f"undo={kept_now}")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert "there was no live database to keep" in undone.stdout
    assert digest_of(database) != digests


def test_what_was_kept_is_dropped_when_that_is_asked_for(operated: Operated) -> None:
    database = operated.database
    operated.tick()
    for _ in range(2):
        assert operated.restore("-e", "source=sql").returncode == 0
    kept = {name for name in names_of(database) if "_before_" in name}
    assert len(kept) >= 2
    operated.change()
    before, oid, stored = digest_of(database), oid_of(database), operated.stored()

    # Beside other words it would be a restore that somebody meant, and forgot the source of.
    for wrong in (("-e", "at='2026-01-01 00:00'"), ("-e", "undo=true")):
        refused = operated.restore("-e", "drop_previous=true", *wrong)
        assert refused.returncode != 0, wrong
        assert kept <= names_of(database)
    # Nothing of what is replaced would remain.
    refused = operated.restore("-e", "source=sql", "-e", "drop_previous=true", "-e", "skip_safety_backup=true")
    assert refused.returncode != 0
    assert "no copy of what is replaced would remain" in " ".join(refused.stdout.split())
    rehearsed = operated.restore("-e", "drop_previous=true", "--check")
    assert rehearsed.returncode == 0, rehearsed.stdout[-3000:]
    assert all(name in rehearsed.stdout.partition("would be dropped")[2] for name in kept)
    assert kept <= names_of(database)

    done = operated.restore("-e", "drop_previous=true")
    assert done.returncode == 0, done.stdout[-3000:]
    words = " ".join(done.stdout.split())
    assert all(name in words.partition("dropped: ")[2] for name in kept)
    assert not kept & names_of(database)
    assert (digest_of(database), oid_of(database), operated.stored()) == (before, oid, stored)
    again = operated.restore("-e", "drop_previous=true")
    assert again.returncode == 0
    assert "no earlier database is kept" in again.stdout

    # With a source, after that restore; nobody is sent to what is gone.
    done = operated.restore("-e", "source=sql", "-e", "drop_previous=true")
    assert done.returncode == 0, done.stdout[-3000:]
    words = " ".join(done.stdout.split())
    assert "undo=true" not in words
    assert stages_of(done.stdout) == ["create", "load", "save", "swap", "save_between", "drop_previous"]
    assert re.search(r"the database before it was dropped; what was in it is saved as db/before-restore/", words)
    assert not [name for name in names_of(database) if "_before_" in name]
    assert oid_of(database) != oid


def oid_of(database: Database) -> int:
    """Which database is live, whatever its name."""
    return int(database.execute("SELECT oid FROM pg_database WHERE datname = current_database()")[0][0])


def test_beside_the_live_database(operated: Operated) -> None:
    database = operated.database
    operated.tick()
    before, target = digest_of(database), f"{database.name}_copy"
    done = operated.restore("-e", "source=sql", "-e", f"target_database={target}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert target in done.stdout
    assert "proven: " in done.stdout
    assert stages_of(done.stdout) == ["create", "load", "settle"]
    assert digest_of(database, target) == before
    assert_untouched(operated, before)
    # A second time it is refused, and the copy is not dropped for that.
    again = operated.restore("-e", "source=sql", "-e", f"target_database={target}")
    assert again.returncode != 0
    assert "is there already" in again.stdout
    assert digest_of(database, target) == before
