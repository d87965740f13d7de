"""What is kept over the years: ticks pause, keys rotate, buckets move, a host is renamed."""

from __future__ import annotations

import time

from sandbox.control import Control
from sandbox.server import Server
from tests.plugins.keys import Keys
from tests.plugins.operated import Operated


def test_the_ticks_pause_and_go_on(operated: Operated) -> None:
    operated.tick()
    wrong = operated.control.play("pause.yml", "-e", "until=2026-12-01 06:00", "-e", "reason=import")
    assert wrong.returncode != 0
    assert "write -e until=2026-12-01T06:00 without a blank" in wrong.stdout
    end = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(time.time() + 7200))
    paused = operated.control.play("pause.yml", "-e", f"until={end}", "-e", "reason='a big import'")
    assert paused.returncode == 0, paused.stdout + paused.stderr
    sentence = f"paused until {end[:10]} {end[11:16]} UTC: a big import"
    assert f"ticks are {sentence}" in paused.stdout
    assert sentence in operated.tick().stderr
    status = operated.control.play("status.yml")
    assert status.returncode != 0
    assert f"NOT WELL: server: {sentence}" in status.stdout
    assert "playbooks/pause.yml --limit server -e until=now" in status.stdout
    resumed = operated.control.play("pause.yml", "-e", "until=now")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "ticks go on with the next one" in resumed.stdout
    assert "ticks go on" in operated.tick().stderr


def test_a_key_is_rotated(server: Server, control: Control, keys: Keys) -> None:
    """In the steps of docs/keys.md: both keys for a time, then the new one alone."""
    new = keys.keyring.generate("The next operator")
    server.gpg("--import", data=keys.keyring.export_public(new))
    saved = []
    for recipients in (keys.plain.fingerprint, f"{keys.plain.fingerprint}, {new.fingerprint}", new.fingerprint):
        server.write_environment(BACKUPS_GPG_RECIPIENT=recipients)
        saved.append(server.tick()["key"])  # a change of keys alone is saved
        time.sleep(1)
    assert len(set(saved)) == 3
    listed = control.play("list.yml")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert listed.stdout.count("need the key") == 2
    assert listed.stdout.count("need one of the keys") == 1
    lines = [line for line in listed.stdout.splitlines() if "need the key" in line]
    assert [key[3:22].replace("T", " ") in line for key, line in zip(saved[::-2], lines, strict=True)] == [True, True]


def test_the_old_bucket_is_reached_after_a_move(server: Server, control: Control) -> None:
    old = server.bucket
    first = server.tick()["key"]
    new = server.store.create_bucket(f"{old}-new")
    server.write_environment(S3_BUCKET_NAME=new, CHECKNINER_BACKUPS_S3_PREFIX="shop/")
    server.bucket = control.bucket = new
    control.variables |= {
        "checkniner_backups_s3_bucket_name": new, "checkniner_backups_s3_prefix": "shop/",
        "checkniner_backups_install_path": str(server.command.parent.parent),
        "checkniner_backups_config_path": str(server.environment_file.parent),
    }  # fmt: skip
    moved = server.tick()
    assert moved["saved"], moved  # unchanged, and not in the new bucket
    assert moved["key"].startswith("shop/")
    there = ("-e", f"checkniner_backups_s3_bucket_name={old}", "-e", "checkniner_backups_s3_prefix=db/")
    assert first[3:] in control.play("list.yml", *there).stdout
    assert first[3:] not in control.play("list.yml").stdout
    restored = control.play(
        "restore.yml", *there, "-e", "source=sql", "-e", f"archive={first}", "-e", "target_database=of_the_old_bucket"
    )
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert f"restoring {first}" in restored.stdout
