"""`checkniner-backups restore` as the application's owner runs it on the server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from checkniner_backups.openpgp.keyring import session_key

from sandbox.server import Server
from tests.archives import archive
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys

ADMIN_URL = "CHECKNINER_BACKUPS_ADMIN_DATABASE_URL"
RENAME = "UPDATE checkouts_airstrip SET name = 'Changed' WHERE id = (SELECT min(id) FROM checkouts_airstrip)"
STRIPS = "SELECT id, ident, name FROM checkouts_airstrip ORDER BY id"
USERS = "SELECT id, first_name FROM auth_user ORDER BY id"


@dataclass(frozen=True)
class Restorer:
    """The owner with an archive on the server and its session key."""

    server: Server
    application: RunningApplication
    keys: Keys

    @property
    def live(self) -> str:
        return self.application.database.name

    def fetch(self, key: str) -> tuple[Path, str]:
        path = self.application.installed.folder / Path(key).name
        path.write_bytes(self.server.store.client().get_object(Bucket=self.server.bucket, Key=key)["Body"].read())
        self.application.owner.own(path)
        return path, session_key(path, self.keys.keyring.home)

    def argv(self, *arguments: str | Path) -> list[str | Path]:
        return [self.server.command, "--environment", self.server.environment_file, "restore", *arguments]

    def lay(self, name: str, members: dict[str, bytes]) -> Path:
        """Lay an archive without a manifest on the server, unencrypted."""
        path = self.application.installed.folder / name
        path.write_bytes(archive(members))
        self.application.owner.own(path)
        return path

    def run(self, key: str | Path, *arguments: str, admin: bool = True, check: bool = True) -> CompletedProcess[str]:
        path, secret = (key, "none") if isinstance(key, Path) else self.fetch(key)
        laid = ["--unsigned"] if isinstance(key, Path) else []
        environment = {ADMIN_URL: self.application.database.cluster.admin_url()} if admin else {}
        return self.application.owner.run(
            self.argv("--file", path, "--session-key-fd", "0", "--yes", *laid, *arguments),
            environment=environment,
            input=secret,
            check=check,
        )

    def databases(self) -> set[str]:
        query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        return {row[0] for row in self.application.database.cluster.execute(query, [self.live])}

    def rows(self, query: str, database: str = "") -> Any:
        return self.application.database.cluster.execute(query, database=database or self.live)


@pytest.fixture
def restorer(server: Server, application: RunningApplication, keys: Keys) -> Restorer:
    """The owner of a server that has saved nothing yet."""
    return Restorer(server, application, keys)
