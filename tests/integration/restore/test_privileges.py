"""After a restore the application can connect, and the database's privileges are those that the archive names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.dsn import parse_url
from psycopg import sql

from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.plugins.postgres import Database
from tests.restoring import Restorer, digest_of, names_of

ACL = """
SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type
FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = %s AND a.grantee <> d.datdba ORDER BY 1, 2
"""
OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"


@contextmanager
def given_away(database: Database, owner: str = "postgres") -> Iterator[Callable[..., None]]:
    """Let the database belong to somebody else; yield what runs a statement as the superuser; give all back."""
    parts = {"d": sql.Identifier(database.name), "u": sql.Identifier(database.user), "o": sql.Identifier(owner)}

    def run(*statements: str) -> None:
        for statement in statements:
            database.cluster.execute(sql.SQL(statement).format(**parts), database=database.name)

    run("GRANT ALL ON SCHEMA public TO {u}", "ALTER DATABASE {d} OWNER TO {o}")
    try:
        yield run
    finally:
        for name in names_of(database):
            statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            database.cluster.execute(statement.format(sql.Identifier(name), sql.Identifier(database.user)))


def saved(server: Server, application: RunningApplication, keys: Keys) -> Restorer:
    server.tick()
    restorer = Restorer(server, application.database, keys.keyring)
    restorer.fetch()
    return restorer


@pytest.mark.parametrize("source", ["sql", "fixtures"])
@pytest.mark.parametrize("public", [True, False], ids=["public", "closed"])
def test_a_database_of_the_superuser(
    server: Server, application: RunningApplication, keys: Keys, source: str, public: bool
) -> None:
    """As Django's own guide and most others set it up."""
    database = application.database
    with given_away(database) as run:
        run("GRANT ALL PRIVILEGES ON DATABASE {d} TO {u}")
        if not public:
            run("REVOKE ALL ON DATABASE {d} FROM PUBLIC")
        restorer = saved(server, application, keys)
        before, digests = database.cluster.execute(ACL, (database.name,)), digest_of(database)
        assert (database.user, "CONNECT") in before
        new = restorer.create()
        loaded = restorer.load(new, source)
        assert loaded.get("proven"), loaded
        restorer.swap(new)
        assert database.cluster.execute(OWNER, (database.name,)) == [("postgres",)]
        assert database.cluster.execute(ACL, (database.name,)) == before
        assert source == "fixtures" or digest_of(database) == digests
        assert database.execute("SELECT count(*) FROM auth_user")
        if source == "sql":
            database.execute("CREATE TABLE public.a_migration (i integer)")


def test_the_live_database_belongs_to_another_role_by_now(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """The archive says that the application owned it: what that gave it is kept, and so is what it was given since."""
    database = application.database
    database.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database.name)))
    restorer = saved(server, application, keys)
    with given_away(database) as run:
        run("REVOKE ALL ON DATABASE {d} FROM PUBLIC, {u}", "GRANT CONNECT ON DATABASE {d} TO {u}")
        new = restorer.create()
        assert restorer.load(new)["proven"]
        restorer.swap(new)
        rights = database.cluster.execute(ACL, (database.name,))
        assert {row[1] for row in rights if row[0] == database.user} == {"CONNECT", "CREATE", "TEMPORARY"}
        assert [row[1] for row in rights if row[0] == "PUBLIC"] == ["TEMPORARY"]
        assert database.execute("SELECT count(*) FROM auth_user")


def test_an_archive_that_gives_the_application_nothing(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """What the replaced database gave it, it keeps; CONNECT in any case."""
    database = application.database
    with given_away(database) as run:
        run("GRANT CREATE ON DATABASE {d} TO {u}", "REVOKE TEMPORARY ON DATABASE {d} FROM PUBLIC")
        restorer = saved(server, application, keys)
        facts = restorer.metadata()
        facts["privileges"] = [row for row in facts["privileges"] if row[0] == facts["owner"]]
        new = restorer.create()
        assert restorer.load(new)["proven"]
        restorer.databases.swap(new, facts)
        assert database.cluster.execute(ACL, (database.name,)) == [
            (database.user, "CONNECT"), (database.user, "CREATE"),
        ]  # fmt: skip
        assert database.execute("SELECT count(*) FROM auth_user")


def test_no_swap_where_the_privileges_cannot_be_had(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    database = application.database
    with given_away(database) as run:
        run("GRANT ALL PRIVILEGES ON DATABASE {d} TO {u}")
        restorer = saved(server, application, keys)
        before = digest_of(database)
        facts, new = restorer.metadata(), restorer.create()
        assert restorer.load(new)["proven"]
        facts["privileges"] = [*facts["privileges"], [database.user, "FLY", False]]
        with pytest.raises(RestoreError, match=r"privileges on the database .*: FLY.*\nHINT: .*unchanged"):
            restorer.databases.swap(new, facts)
        assert names_of(database) == {database.name, new}
        assert digest_of(database) == before
        # The application's own connection is tried where it is at hand.
        application_dsn = parse_url(database.url)
        wrong = application_dsn.__class__(**{**vars(application_dsn), "password": "wrong"})
        with pytest.raises(RestoreError, match=r"the application cannot connect to .*password"):
            restorer.databases.swap(new, restorer.metadata(), application=wrong)
        assert names_of(database) == {database.name, new}
        restorer.databases.swap(new, restorer.metadata(), application=application_dsn)
        with psycopg.connect(database.url) as connection:
            assert connection.execute("SELECT count(*) FROM auth_user").fetchone()
