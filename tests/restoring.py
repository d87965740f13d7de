"""A restore stage by stage, as the playbook does it: each stage as the user whom it needs."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from checkniner_backups.archive.file import ArchiveFile, inspect
from checkniner_backups.openpgp.keyring import session_key
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.restore.databases import Change, Databases
from psycopg import sql

from sandbox.application import Application
from sandbox.keys import Keyring
from sandbox.postgres import find_binaries
from sandbox.server import Server
from tests.archives import archive
from tests.owner_side import as_engine
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.plugins.operated import Operated
from tests.plugins.postgres import Database


class HasApplication(Protocol):
    """Who has an application."""

    @property
    def application(self) -> Application: ...


def stages_of(output: str) -> list[str]:
    """Given what restore.yml printed, return the stages that it went through, in order."""
    return re.findall(r"^included: \S+/restore/stages/(\w+)\.yml", output, re.MULTILINE)


_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2
"""
_RESTORE = """
from checkniner_backups.restore import sql as restore
from checkniner_backups.archive.file import ArchiveFile
source = ArchiveFile(Path(given["path"]), given["session_key"])
if given["source"] == "sql":
    proof = restore.restore_sql(settings(), source, given["database"])
else:
    proof = restore.restore_fixtures(settings(), source, given["database"], given["apps"])
result = {"proven": proof.proven, "words": proof.summary}
"""


def digest_of(database: Database, name: str = "") -> dict[str, str]:
    """Given a database, return a digest of each table's and materialised view's rows: by another way than ours."""
    found = {}
    with psycopg.connect(database.cluster.admin_url(name or database.name)) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():
            query = sql.SQL("SELECT coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), '') FROM {} t")
            (text,) = connection.execute(query.format(sql.Identifier(schema, table))).fetchone() or ("",)
            found[f"{schema}.{table}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def names_of(database: Database) -> set[str]:
    """Given the live database, return the names of all databases that begin as its name does."""
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    return {row[0] for row in database.cluster.execute(query, (database.name,))}


def assert_untouched(operated: Operated, before: dict[str, str]) -> None:
    """Nothing changed in the live database, no new one stands beside it, and no archive lies on the server."""
    assert digest_of(operated.database) == before
    assert not [name for name in names_of(operated.database) if "_restoring_" in name]
    assert not (operated.state_path / "restore").exists()


@dataclass
class Restorer:
    """What the playbook's tasks do, in order; `path` is the archive, in a folder of the owner."""

    server: Server
    database: Database
    keyring: Keyring
    path: Path = field(default_factory=Path)

    @property
    def databases(self) -> Databases:
        """As the administrator."""
        return Databases(parse_url(self.database.cluster.admin_url()), self.database.name, self.database.user)

    def fetch(self, key: str = "") -> Path:
        """Bring an archive (default: the newest) from the bucket to the server."""
        key = key or self.server.keys()[-1]
        body = self.server.store.client().get_object(Bucket=self.server.bucket, Key=key)["Body"].read()
        return self.put(key.rpartition("/")[2], body)

    def put(self, name: str, body: bytes) -> Path:
        """Lay an archive on the server."""
        self.path = self.server.application.folder / name
        self.path.write_bytes(body)
        self.server.application.owner.own(self.path)
        return self.path

    @property
    def session_key(self) -> str:
        """What opens it."""
        return session_key(self.path, self.keyring.home) if self.path.suffix == ".gpg" else ""

    def metadata(self) -> dict[str, Any]:
        """What the manifest says of the database."""
        return inspect(ArchiveFile(self.path, self.session_key)).database

    def create(self, *allowed: str) -> str:
        """Create the new database and return its name."""
        return self.databases.create(self.database.user, self.metadata(), allowed).database

    def load(
        self, name: str, source: str = "sql", apps: tuple[str, ...] = (), key: str | None = None
    ) -> dict[str, Any]:
        """Load and prove as the owner; return the proof's words, or the error. `key`: a session key known before."""
        return dict(
            as_engine(
                self.server.application.owner, self.server.command, _RESTORE, path=str(self.path), source=source,
                session_key=self.session_key if key is None else key, database=name, apps=list(apps),
                environment_file=str(self.server.environment_file),
            )
        )  # fmt: skip

    def swap(self, name: str) -> Change:
        """Make it the live one."""
        return self.databases.swap(name, self.metadata())


def old_archive(server: HasApplication, keyring: Keyring, fingerprint: str) -> bytes:
    """Given who has an application, return an archive as the old scripts made it (dumpdata, tar, gpg)."""
    application = server.application
    url = application.environment["DATABASE_URL"]
    dump = subprocess.run([find_binaries() / "pg_dump", url], capture_output=True, check=True).stdout
    members = {f"{parse_url(url).database}.sql": dump}
    for app in ("admin", "auth", "checkouts", "contenttypes", "sessions"):
        members[f"{app}.json"] = application.manage("dumpdata", app).encode()
    return keyring.gpg("--trust-model", "always", "--recipient", fingerprint, "--encrypt", data=archive(members))


@pytest.fixture
def restorer(server: Server, application: RunningApplication, keys: Keys) -> Restorer:
    """An archive on the server; since then, the live data has changed."""
    server.tick()
    restorer = Restorer(server, application.database, keys.keyring)
    restorer.fetch()
    application.change()
    return restorer
