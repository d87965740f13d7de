"""An operator with an inventory, and a server that the playbook has set up, for all tests of playbooks."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from sandbox.application import Application
from sandbox.control import Control
from sandbox.keys import Keyring
from sandbox.object_store import ObjectStore
from sandbox.owner import Account
from sandbox.postgres import Cluster

from .application import TEMPLATE
from .postgres import Database, fresh_database
from .spying import Spy

BUCKET = "playbooks"


@dataclass(frozen=True)
class Operated:
    """The operator, the server's application and its database; what set-up printed (-vvv), and who was spied on."""

    control: Control
    application: Application
    database: Database
    set_up: CompletedProcess[str]
    spy: Spy
    heard: list[str]  # what the watchdog was asked for

    @property
    def state_path(self) -> Path:
        """The server's state folder."""
        return Path(self.control.variables["checkniner_backups_state_path"])

    def stored(self) -> list[str]:
        """The keys below the prefix, sorted; not those of the history, which lies beside the archives."""
        found = self.control.store.client().list_objects_v2(Bucket=self.control.bucket, Prefix="db/")
        return sorted(entry["Key"] for entry in found.get("Contents", ()))

    def restore(self, *options: str, **more: Any) -> CompletedProcess[str]:
        """Run restore.yml, spied on."""
        with self.spy:
            return self.control.play("restore.yml", *options, **more)

    def tick(self, check: bool = True) -> CompletedProcess[str]:
        """Run the crontab's command as the owner, spied on."""
        with self.spy:
            return self.application.owner.run(self.control.command, check=check)

    def change(self) -> None:
        """Commit a change of business data."""
        self.database.execute(
            "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES (%s, 'Changed', false)",
            (secrets.token_hex(4),),
        )


@dataclass(frozen=True)
class Watchdog:
    """A watchdog on the loopback interface: its address, and the paths that it was asked for."""

    address: str
    heard: list[str]


@contextmanager
def watching() -> Iterator[Watchdog]:
    """Listen."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield Watchdog(f"http://127.0.0.1:{listener.server_address[1]}", heard)
        listener.shutdown()


@pytest.fixture(scope="session")
def operated(
    cluster: Cluster,
    owner: Account,
    application_template: Application,
    s3_server: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operated]:
    """A server that setup-backups.yml has set up, with a first archive in the bucket."""
    s3_server.create_bucket(BUCKET)
    folder = tmp_path_factory.mktemp("control")
    folder.chmod(0o700)
    with (
        fresh_database(cluster, template=TEMPLATE) as database,
        Application(database.url, owner=owner, packages_of=application_template.virtualenv) as application,
        Keyring() as keyring,
        watching() as watchdog,
    ):
        key = keyring.generate("Operator")
        variables = {"checkniner_backups_watchdog_url": f"{watchdog.address}/ping/{secrets.token_hex(8)}"}
        control = Control(folder, application, s3_server, BUCKET, keyring, key, cluster.admin_url(), variables)
        spy = Spy(application.folder)
        with spy:
            set_up = control.play("setup-backups.yml", "-vvv")
        assert set_up.returncode == 0, set_up.stdout[-4000:] + set_up.stderr[-2000:]
        yield Operated(control, application, database, set_up, spy, watchdog.heard)
