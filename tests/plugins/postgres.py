"""A real PostgreSQL for all tests, and a fresh database with its owner for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from sandbox.postgres import Cluster

TEMPLATE_ROLE = "template_owner"


@dataclass(frozen=True)
class Database:
    """A database and the role that owns it."""

    cluster: Cluster
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The owner's URL."""
        return self.cluster.url(self.name, self.user, self.password)

    @property
    def admin_url(self) -> str:
        """The superuser's URL of this database."""
        return self.cluster.admin_url(self.name)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new connection as the owner."""
        return psycopg.connect(self.url, **options)

    def execute(self, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement as the owner, committed at once; return its rows."""
        with self.connect(autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def fresh_database(cluster: Cluster, name: str = "", template: str = "template1") -> Iterator[Database]:
    """Given a cluster, make a role and a database of its own; drop both, and what came of them, at the end.

    :param template: a database to copy; what in it belongs to the role `TEMPLATE_ROLE` then belongs to the new role
    """
    name = name or f"checkniner_{secrets.token_hex(3)}"
    database = Database(cluster, name, f"{name}_owner", secrets.token_hex(8))
    cluster.create_role(database.user, database.password)
    cluster.create_database(name, database.user, template)
    if template != "template1":
        reassign = sql.SQL("REASSIGN OWNED BY {} TO {}")
        parts = sql.Identifier(TEMPLATE_ROLE), sql.Identifier(database.user)
        cluster.execute(reassign.format(*parts), database=name)
    try:
        yield database
    finally:
        # A restore makes databases beside it: all that this owner owns goes.
        owned = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s OR datname = %s"
        for (each,) in cluster.execute(owned, (database.user, name)):
            cluster.drop_database(each)
        cluster.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(database.user)))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The PostgreSQL server of this test run: do not stop it; tests that must, make their own with `Cluster()`."""
    with Cluster(settings={"wal_level": "logical"}) as cluster:
        yield cluster


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """A fresh, empty database with a role that owns it and can do nothing else."""
    with fresh_database(cluster) as database:
        yield database
