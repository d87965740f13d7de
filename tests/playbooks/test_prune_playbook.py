"""playbooks/prune.yml: shown first, then done, with the operator's keys and without the server."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from sandbox.control import Control
from sandbox.server import Server
from tests.plugins.listening import Listener


def words(text: str) -> str:
    return " ".join(text.replace('",', " ").replace('"', " ").split())


def test_old_archives_leave_the_store(server: Server, control: Control, listener: Listener) -> None:
    newest = server.tick()["key"]
    client = server.store.client()
    client.put_bucket_versioning(Bucket=server.bucket, VersioningConfiguration={"Status": "Enabled"})
    begin = datetime.now(timezone.utc).replace(hour=1, minute=0, second=0) - timedelta(days=2)
    stamps = [begin - timedelta(hours=6 * number) for number in range(40)]
    old = [f"db/{stamp:%Y-%m-%dT%H:%M:%S}.tar.gz.gpg" for stamp in stamps]
    for key in old:
        client.copy_object(Bucket=server.bucket, Key=key, CopySource=f"{server.bucket}/{newest}")
    before = server.keys()
    # The server is gone: a prune needs the store and this machine, and nothing else.
    control.variables |= {
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.1",
        "checkniner_backups_ping_prune_success_url": f"{listener.url}/pruned?said={{message}}",
        "checkniner_backups_ping_prune_failure_url": f"{listener.url}/failed?exit={{exit}}",
        "checkniner_backups_prune_keep_all_days": 1,
        "checkniner_backups_prune_keep_daily": 4,
        "checkniner_backups_prune_keep_weekly": 0,
        "checkniner_backups_prune_keep_monthly": 0,
        "checkniner_backups_prune_keep_yearly": 0,
    }

    shown = control.play("prune.yml", "--check", "--diff")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert server.keys() == before
    told = words(shown.stdout)
    would = [key for key in old if f"\n-{key}\n" in shown.stdout]
    assert len(would) > 30
    assert f"would remove {len(would)} of 41 archives (" in told
    assert "(the last of its day)" in shown.stdout
    assert "they stay as the newest: 1, " in told
    assert "it will need -e yes=true" in told

    assert not listener.heard  # a check tells nobody
    for no in ((), ("-e", "yes=false")):
        refused = control.play("prune.yml", *no)
        assert refused.returncode != 0
        assert f"{len(would)} of 41 archives would go, which is more than 50 percent at once" in words(refused.stdout)
        assert server.keys() == before

    done = control.play("prune.yml", "-e", "yes=true", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    told = words(done.stdout)
    assert f"removed {len(would)} of 41 archives (" in told
    assert f"{41 - len(would)} stay, the oldest of " in told
    assert [each.path for each in listener.heard] == ["/failed", "/failed", "/pruned"]
    assert listener.heard[2].query["said"].startswith(f"removed {len(would)} of 41 archives (")
    assert server.keys() == sorted(set(before) - set(would))
    versions = client.list_object_versions(Bucket=server.bucket, Prefix="db/")
    assert {each["Key"] for each in versions["Versions"]} == set(server.keys())
    assert "DeleteMarkers" not in versions
    assert control.store.identities["operator"].secret_key not in done.stdout

    again = control.play("prune.yml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in words(again.stdout)
    assert "removed 0 of " in words(again.stdout)


def test_a_server_has_no_keys_for_it(server: Server, control: Control) -> None:
    newest = server.tick()["key"]
    client = server.store.client()
    for hour in range(3):
        client.copy_object(
            Bucket=server.bucket, Key=f"db/2024-05-05T0{hour}:00:00.tar.gz.gpg", CopySource=f"{server.bucket}/{newest}"
        )
    before = server.keys()
    done = control.play("prune.yml", "-e", "yes=true", environment={"S3_ACCESS_KEY": "", "S3_SECRET_KEY": ""})
    assert done.returncode != 0
    assert "refused to remove each of 2 objects" in words(done.stdout)
    assert "scripts/policy --prune" in words(done.stdout)
    assert server.keys() == before


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("keep_daily", "-2", "a number of periods to keep is below -1"),
        ("keep_all_days", "many", "'many'"),
        ("most_percent", "101", "101 percent may go at once"),
    ],
)
def test_a_policy_that_is_none(control: Control, name: str, value: str, told: str) -> None:
    control.variables |= {"ansible_connection": "ssh", "ansible_host": "192.0.2.1"}
    done = control.play("prune.yml", "-e", f"checkniner_backups_prune_{name}={value}")
    assert done.returncode != 0
    assert told in words(done.stdout)
