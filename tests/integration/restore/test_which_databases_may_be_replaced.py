"""The application says which database is its own: what cannot be is neither renamed nor dropped."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.restore.databases import Change, Databases

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database, fresh_database

KEPT = "_before_20200101t000000"

Step = Callable[[Databases, str], Change]
STEPS: dict[str, Step] = {
    "create": lambda databases, name: databases.create("postgres", {}, (), f"{name}_new"),
    "swap": lambda databases, name: databases.swap(f"{name}_new", {}),
    "undo": lambda databases, _: databases.undo(),
    "drop": lambda databases, _: databases.drop("", 0),
}


@pytest.fixture
def victim(cluster: Cluster) -> Iterator[Database]:
    """Another application's database, with one that a restore kept, and a new one."""
    with fresh_database(cluster) as database:
        made = [f"{database.name}{KEPT}", f"{database.name}_new"]
        for name in made:
            cluster.create_database(name, database.user)
        yield database
        for name in [row[0] for row in names(cluster) if row[0].startswith(database.name) and row[0] != database.name]:
            cluster.drop_database(name)


@pytest.fixture
def stranger(cluster: Cluster) -> str:
    """The role of an application that has nothing to do with it."""
    name = f"stranger_{secrets.token_hex(4)}"
    cluster.create_role(name, secrets.token_hex(8))
    return name


def names(cluster: Cluster) -> list[tuple[str, int]]:
    return [(str(row[0]), int(row[1])) for row in cluster.execute("SELECT datname, oid FROM pg_database ORDER BY 1")]


@pytest.mark.parametrize("step", STEPS)
def test_another_applications_database_is_left_alone(
    cluster: Cluster, victim: Database, stranger: str, step: str
) -> None:
    before = names(cluster)
    databases = Databases(parse_url(cluster.admin_url()), victim.name, stranger)
    with pytest.raises(RestoreError, match=f"{victim.name} belongs to another role: {victim.user}") as caught:
        STEPS[step](databases, victim.name)
    assert "DATABASE_URL" in caught.value.hint
    assert names(cluster) == before


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["postgres", "template1", "template0", "administration"])
def test_what_is_the_servers_own_is_left_alone(cluster: Cluster, victim: Database, step: str, name: str) -> None:
    """Whoever asks for it: a superuser may everything, but not by mistake."""
    dsn = parse_url(cluster.admin_url())
    if name == "administration":
        dsn = dsn.to(name := victim.name)
    before = names(cluster)
    with pytest.raises(RestoreError, match=f"{name} is a database of the server's own"):
        STEPS[step](Databases(dsn, name, "postgres"), victim.name)
    assert names(cluster) == before


def test_whose_it_may_be(cluster: Cluster, victim: Database, stranger: str) -> None:
    """A member's; a superuser's, by GRANT; the administrator's own, who need not be a superuser."""
    dsn = parse_url(cluster.admin_url())
    cluster.execute(f"GRANT {victim.user} TO {stranger}")
    assert Databases(dsn, victim.name, stranger, dry_run=True).undo().previous
    cluster.execute(f"REVOKE {victim.user} FROM {stranger}")
    own = parse_url(victim.url).to("postgres")
    assert Databases(own, victim.name, stranger, dry_run=True).undo().previous
    cluster.execute(f"ALTER DATABASE {victim.name} OWNER TO postgres")
    assert Databases(dsn, victim.name, stranger, dry_run=True).undo().previous
