"""playbooks/drill.yml, as an operator's cron runs it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sandbox.control import Control
from sandbox.server import Server
from tests.plugins.listening import Listener


def test_the_operators_cron_drills_records_and_tells_the_watchdog(
    server: Server, control: Control, listener: Listener
) -> None:
    key = server.tick()["key"]
    # The server is gone: a drill needs the store and this machine, and nothing else.
    control.variables |= {
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.1",
        "checkniner_backups_drill_application_path": str(server.application.path),
        "checkniner_backups_drill_virtualenv": str(server.application.virtualenv),
        "checkniner_backups_drill_watchdog_url": f"{listener.url}/secret-drill",
    }
    done = control.play("drill.yml", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert listener.targets() == ["GET /secret-drill"]
    shown = done.stdout
    for words in (key, "VERDICT", "good", "SQL: proven", "fixtures: proven", "SQL and fixtures: equal"):
        assert words in shown
    assert "secret-drill" not in shown
    assert control.store.identities["operator"].secret_key not in shown
    stored = server.keys()
    assert any(each.startswith("db/drills/") for each in stored)

    later = datetime.now(timezone.utc) + timedelta(hours=1)
    damaged = f"db/{later:%Y-%m-%dT%H:%M:%S}.tar.gz.gpg"
    client = server.store.client()
    body = client.get_object(Bucket=server.bucket, Key=key)["Body"].read()
    client.put_object(Bucket=server.bucket, Key=damaged, Body=body[:-500] + bytes(500))
    failed = control.play("drill.yml")
    assert failed.returncode != 0
    assert "FAILED" in failed.stdout
    assert "bad" in failed.stdout
    assert listener.targets() == ["GET /secret-drill"]
    assert "(take another archive, and look who else may write to the bucket" in failed.stdout

    unread = control.play("drill.yml", environment={"S3_ACCESS_KEY": "", "S3_SECRET_KEY": ""})
    assert unread.returncode != 0
    said, refusal = "are not exported in this shell: the server's own keys ask", "AccessDenied"
    assert said in unread.stdout
    assert unread.stdout.index(said) < unread.stdout.index(refusal)
