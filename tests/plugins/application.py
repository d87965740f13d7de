"""The example application with rows, run by its owner, for each test anew: about a second."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from psycopg import sql

from sandbox import engine as sandbox_engine
from sandbox import guard
from sandbox.application import Application
from sandbox.owner import Account, owner_account
from sandbox.postgres import Cluster

from .postgres import TEMPLATE_ROLE, Database, fresh_database

ROWS = 300
TEMPLATE = "application_template"


@dataclass(frozen=True)
class RunningApplication:
    """An installed application, and its database."""

    installed: Application
    database: Database

    @property
    def path(self) -> Path:
        """The Django project."""
        return self.installed.path

    @property
    def virtualenv(self) -> Path:
        """The application's virtualenv, with the environment in `bin/activate`."""
        return self.installed.virtualenv

    @property
    def state_path(self) -> Path:
        """A folder for the engine's state, 0700, empty at first, of the owner."""
        return self.installed.folder / "state"

    @property
    def owner(self) -> Account:
        """Who it runs as."""
        return self.installed.owner

    def manage(self, *arguments: str) -> str:
        """Run a command of `manage.py` as the owner; return its output."""
        return self.installed.manage(*arguments)

    def shell(self, code: str) -> str:
        """Run Python code as the owner where Django is set up; return its output."""
        return self.installed.shell(code)

    def change(self) -> None:
        """Commit a change of business data (by SQL: Django takes half a second to start)."""
        self.database.execute("INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES (%s, 'Changed', false)",
                              (secrets.token_hex(4),))  # fmt: skip

    def change_noise(self) -> None:
        """Commit a change that is no business data: a session."""
        self.database.execute("INSERT INTO django_session VALUES (%s, 'noise', now())", (secrets.token_hex(16),))


@pytest.fixture(scope="session")
def owner() -> Account:
    """Who plays the application's owner: ourselves, or for root an unprivileged user."""
    return owner_account()


@pytest.fixture
def as_owner(owner: Account) -> Callable[..., CompletedProcess[str]]:
    """`as_owner(argv, environment=..., folder=..., check=..., input=...)` runs a command as the application's owner.

    It gets a bare environment, and what it reads must lie in `owner_folder` or the application's folder: the checkout
    may be closed to it. See `sandbox.owner.Account.run`.
    """
    return owner.run


@pytest.fixture
def owner_folder(owner: Account) -> Iterator[Path]:
    """A short, empty folder, 0700, of the application's owner."""
    folder = guard.make_folder("cn-own", owner.user_id, owner.group_id)
    yield folder
    guard.remove_folder(folder)


@pytest.fixture(scope="session")
def engine(owner: Account) -> Iterator[Path]:
    """The command `checkniner-backups` of the checkout's engine, in a virtualenv that the owner can run."""
    folder = guard.make_folder("cn-eng", owner.user_id, owner.group_id)
    yield sandbox_engine.install(folder / "venv", owner)
    guard.remove_folder(folder)


@pytest.fixture(scope="session")
def application_template(cluster: Cluster, owner: Account) -> Iterator[Application]:
    """An application whose database `TEMPLATE` is migrated and has `ROWS` checkouts: others are copies of it."""
    cluster.create_role(TEMPLATE_ROLE, password := secrets.token_hex(8))
    cluster.create_database(TEMPLATE, "postgres")
    role = sql.Identifier(TEMPLATE_ROLE)
    cluster.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(role), database=TEMPLATE)
    with Application(cluster.url(TEMPLATE, TEMPLATE_ROLE, password), owner=owner) as application:
        application.fill(ROWS)
        cluster.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(role), database=TEMPLATE)
        yield application


@pytest.fixture
def application(cluster: Cluster, owner: Account, application_template: Application) -> Iterator[RunningApplication]:
    """The example application with rows in a database of its own."""
    with (
        fresh_database(cluster, template=TEMPLATE) as database,
        Application(database.url, owner=owner, packages_of=application_template.virtualenv) as installed,
    ):
        application = RunningApplication(installed, database)
        application.state_path.mkdir(mode=0o700)
        owner.own(application.state_path)
        yield application
