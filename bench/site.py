"""The parts that every measurement needs: one server of each kind, and for each size an application with its rows."""

from __future__ import annotations

import secrets
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sandbox import engine, guard, virtualenv
from sandbox.application import Application
from sandbox.keys import Keyring
from sandbox.object_store import ObjectStore
from sandbox.owner import owner_account
from sandbox.postgres import Cluster
from sandbox.server import Server

from .meter import Meter

BUCKET = "backups"
ROLE = "checkniner"
_WAYS = Path(__file__).parent / "ways"


class Machine:
    """PostgreSQL, an S3 server, the operator's keys, the engine, and django-dbbackup's virtualenv."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.owner = owner_account()

    def __enter__(self) -> Machine:
        self.cluster = self._stack.enter_context(Cluster(settings={"autovacuum": "off"}))  # it moves the token
        self.store = self._stack.enter_context(ObjectStore(guard.make_folder("cn-s3")))
        self.keyring = self._stack.enter_context(Keyring())
        self.key = self.keyring.generate("Bench")
        self.password = secrets.token_hex(12)
        self.cluster.create_role(ROLE, self.password)
        self.store.create_bucket(BUCKET)
        self.meter = Meter(self.cluster, self.store, BUCKET)
        folder = guard.make_folder("cn-ben", self.owner.user_id, self.owner.group_id)
        self._stack.callback(guard.remove_folder, folder)
        self.command = engine.install(folder / "engine", self.owner)
        self.dbbackup = folder / "dbbackup"
        virtualenv.make(self.dbbackup, _WAYS / "dbbackup-requirements.txt", self.owner)
        self.ways = folder / "ways"
        shutil.copytree(_WAYS, self.ways, ignore=shutil.ignore_patterns("__pycache__"))
        self.owner.own(self.ways)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


@dataclass
class Site:
    """An application of a certain size, with our backups set up, and the environment of the other ways."""

    machine: Machine
    rows: int

    def __enter__(self) -> Site:
        machine, self.database = self.machine, f"rows_{self.rows}"
        machine.cluster.create_database(self.database, ROLE)
        self.url = machine.cluster.url(self.database, ROLE, machine.password)
        self.application = Application(self.url, owner=machine.owner)
        self.application.manage("migrate", "--verbosity=0")
        self.application.manage("seed", "--rows", str(self.rows), timeout=3600)
        machine.cluster.execute("VACUUM ANALYZE", database=self.database)
        machine.cluster.execute("CHECKPOINT")
        state = self.application.folder / "state"
        state.mkdir(mode=0o700)
        machine.owner.own(state)
        self.server = Server(self.application, machine.command, machine.store, BUCKET, state)
        self.server.set_up(machine.key, machine.keyring.export_public(machine.key),
                           CHECKNINER_BACKUPS_S3_PREFIX=f"ours/{self.rows}/")  # fmt: skip
        self.scratch = self.application.folder / "others"
        self.scratch.mkdir(mode=0o700)
        machine.owner.own(self.scratch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.application.close()
        self.machine.cluster.drop_database(self.database)

    @property
    def environment(self) -> dict[str, str]:
        """What the other ways get: the same database, key and store; PostgreSQL's programs without Debian's wrapper."""
        machine, identity = self.machine, self.machine.store.identities["operator"]
        return {
            "PATH": f"{machine.cluster.binaries}:/usr/local/bin:/usr/bin:/bin",
            "PGHOST": "127.0.0.1", "PGPORT": str(machine.cluster.port), "PGUSER": ROLE,
            "PGPASSWORD": machine.password, "PGDATABASE": self.database,
            "GNUPGHOME": str(self.server.state_path / "gnupg"), "RECIPIENT": machine.key.fingerprint,
            "AWS_ACCESS_KEY_ID": identity.access_key, "AWS_SECRET_ACCESS_KEY": identity.secret_key,
            "S3_ENDPOINT_URL": machine.store.endpoint_url, "S3_BUCKET_NAME": BUCKET,
            "STATE": str(self.scratch), "TMPDIR": str(self.scratch),
            "VIRTUALENV": str(self.application.virtualenv), "APPLICATION": str(self.application.path),
            "UPLOAD": f"{machine.command.with_name('python')} {machine.ways / 'upload.py'}",
        }  # fmt: skip

    def change(self) -> None:
        """Commit a change of business data: one row of the largest table, so that no look can stop early."""
        self._execute(
            "UPDATE checkouts_checkout SET date = date + 1 WHERE id = (SELECT min(id) FROM checkouts_checkout)"
        )

    def touch(self) -> None:
        """Commit a change outside the business apps: a session."""
        self._execute("INSERT INTO django_session VALUES (%s, 'noise', now())", secrets.token_hex(16))

    def _execute(self, statement: str, *parameters: str) -> None:
        self.machine.cluster.execute(statement, parameters, database=self.database)
