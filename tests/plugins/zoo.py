"""Somebody else's application with rows, and a server beside it that has saved it once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from sandbox.application import Application
from sandbox.keys import Keyring
from sandbox.object_store import ObjectStore
from sandbox.postgres import Cluster
from sandbox.server import Server
from tests.zoo.project import SETTINGS, Project

from .keys import Keys
from .postgres import Database, fresh_database

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Tried:
    """An application of the zoo, its database, the server beside it, and what its first tick returned and said."""

    application: Application
    database: Database
    server: Server
    keyring: Keyring
    first: dict[str, Any]
    said: str


@contextmanager
def installed(project: Project, database: Database) -> Iterator[Application]:
    """Given a project, install it on a database, make its tables, and fill them."""
    for name in project.extensions:
        database.cluster.execute(f"CREATE EXTENSION {name}", database=database.name)
    environment = {"DJANGO_SETTINGS_MODULE": SETTINGS}
    with TemporaryDirectory() as folder:
        path, requirements = project.write(Path(folder))
        application = Application(database.url, requirements=requirements, project=path, environment=environment)
    with application:
        for command in project.commands:
            application.manage(*command.split())
        application.shell(project.fill)
        yield application


@pytest.fixture(scope="class")
def tried(
    request: pytest.FixtureRequest, cluster: Cluster, engine: Path, s3_server: ObjectStore, keys: Keys
) -> Iterator[Tried]:
    """The application of the class that asks (its `project`), filled and saved once."""
    bucket = f"zoo-{next(_numbers)}"
    s3_server.create_bucket(bucket)
    project: Project = request.cls.project
    with fresh_database(cluster) as database, installed(project, database) as application:
        state = application.folder / "state"
        state.mkdir(mode=0o700)
        application.owner.own(state)
        server = Server(application, engine, s3_server, bucket, state)
        allowed = {"CHECKNINER_BACKUPS_ALLOWED_EXTENSIONS": " ".join(project.extensions)} if project.extensions else {}
        server.set_up(keys.plain, keys.keyring.export_public(keys.plain), **allowed)
        first = server.run("run", "--json", check=False)
        assert first.returncode == 0, first.stdout + first.stderr
        yield Tried(application, database, server, keys.keyring, json.loads(first.stdout), first.stderr)
