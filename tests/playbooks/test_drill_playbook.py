"""playbooks/drill.yml, as an operator's cron runs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sandbox.control import Control
from sandbox.server import Server


@pytest.fixture
def watchdog() -> Iterator[tuple[str, list[str]]]:
    """A watchdog's address, and the paths that it was asked for."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.server_address[1]}/secret-drill", heard
        listener.shutdown()


def test_the_operators_cron_drills_records_and_tells_the_watchdog(
    server: Server, control: Control, watchdog: tuple[str, list[str]]
) -> None:
    address, heard = watchdog
    key = server.tick()["key"]
    # The server is gone: a drill needs the store and this machine, and nothing else.
    control.variables |= {
        "ansible_connection": "ssh",
        "ansible_host": "192.0.2.1",
        "checkniner_backups_drill_application_path": str(server.application.path),
        "checkniner_backups_drill_virtualenv": str(server.application.virtualenv),
        "checkniner_backups_drill_watchdog_url": address,
    }
    done = control.play("drill.yml", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert heard == ["/secret-drill"]
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
    assert heard == ["/secret-drill"]
