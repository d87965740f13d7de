"""SQL is loaded by the application's role: what other roles own in it loads, or is refused before anything is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from checkniner_backups.errors import RestoreError
from psycopg import sql

from sandbox.server import Server
from tests.integration.restore.test_privileges import given_away, saved
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import Restorer, digest_of, names_of

PUBLIC = (
    "SELECT has_schema_privilege(%s, 'public', 'CREATE'), has_schema_privilege('pg_read_all_data', 'public', 'CREATE')"
)


@pytest.mark.parametrize("whose", ["postgres", "application"])
def test_the_schema_public_of_the_superuser(
    server: Server, application: RunningApplication, keys: Keys, whose: str
) -> None:
    """Every database has it that was made by PostgreSQL 14 or earlier, and brought up by pg_upgrade or pg_dump."""
    database = application.database
    with given_away(database, "postgres" if whose == "postgres" else database.user) as run:
        run(
            "ALTER SCHEMA public OWNER TO postgres",
            "GRANT ALL ON SCHEMA public TO PUBLIC",
            "COMMENT ON SCHEMA public IS 'x'",
        )
        restorer = saved(server, application, keys)
        digests, rights = digest_of(database), database.cluster.execute(PUBLIC, (database.user,), database.name)
        new = restorer.create()
        loaded = restorer.load(new)
        assert loaded.get("proven"), loaded
        restorer.swap(new)
        assert digest_of(database) == digests
        assert database.cluster.execute(PUBLIC, (database.user,), database.name) == rights == [(True, True)]
        database.execute("CREATE TABLE public.a_migration (i integer)")
        application.change()


def test_the_schema_public_of_the_application(server: Server, application: RunningApplication, keys: Keys) -> None:
    """It stays the application's, also where the database is not."""
    database = application.database
    with given_away(database) as run:
        run(
            "REVOKE ALL ON SCHEMA public FROM {u}",
            "ALTER SCHEMA public OWNER TO {u}",
            "GRANT CREATE ON DATABASE {d} TO {u}",
        )
        restorer = saved(server, application, keys)
        new = restorer.create()
        assert restorer.load(new).get("proven")
        restorer.swap(new)
        database.execute("CREATE TABLE public.a_migration (i integer)")


def says(restorer: Restorer, **options: Any) -> str:
    """Return why a database for the restore is refused."""
    database = restorer.database
    with pytest.raises(RestoreError) as caught:
        restorer.databases.create(database.user, restorer.metadata(), (), **options)
    assert names_of(database) == {database.name}
    return f"{caught.value.message}\n{caught.value.hint}"


@pytest.fixture
def stranger(application: RunningApplication) -> Iterator[str]:
    """A role that the application is no member of."""
    database = application.database
    name = f"{database.name}_stranger"
    database.cluster.create_role(name, "strange")
    yield name
    for each in names_of(database):
        database.cluster.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)), database=each)
    database.cluster.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_what_others_own_is_told_before_loading(
    server: Server, application: RunningApplication, keys: Keys, stranger: str
) -> None:
    database = application.database

    def admin(*statements: str) -> None:
        names = {"s": sql.Identifier(stranger), "u": sql.Identifier(database.user)}
        for statement in statements:
            database.cluster.execute(sql.SQL(statement).format(**names), database=database.name)

    quiet = server.run("run")
    assert "will not load" not in quiet.stdout + quiet.stderr
    admin(
        "CREATE TABLE theirs AS SELECT 1 AS one", "ALTER TABLE theirs OWNER TO {s}",
        "CREATE VIEW of_the_superuser AS SELECT 1 AS one", "GRANT SELECT ON theirs, of_the_superuser TO {u}",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {s} GRANT SELECT ON TABLES TO {u}",
        "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER FUNCTION seen() OWNER TO {u}", "CREATE EVENT TRIGGER sees ON ddl_command_end EXECUTE FUNCTION seen()",
        "CREATE PUBLICATION everything FOR ALL TABLES", "CREATE PUBLICATION there FOR TABLES IN SCHEMA public",
    )  # fmt: skip
    told = server.run("backup", "--force")
    assert "archive's SQL will not load" in told.stderr
    restorer = Restorer(server, database, keys.keyring)
    restorer.fetch()
    words = (
        rf'role "{stranger}" owns 2 objects of the dump, table (public\.)?theirs .*no member.*'
        rf'GRANT "{stranger}" TO "{database.user}"',
        r'role "postgres" owns \d objects of the dump.*a superuser.*OWNER TO',
        r"event trigger sees", r"publication everything", "publication there", "need a superuser",
    )  # fmt: skip
    checked = server.run("check").stdout
    refused = says(restorer)
    for text in (told.stderr, checked, refused):
        for word in words:
            assert re.search(word, text), (word, text)
    assert "source=fixtures" in refused
    assert 'GRANT "postgres"' not in told.stderr + checked + refused
    # Fixtures need none of it.
    new = restorer.databases.create(database.user, restorer.metadata(), (), kind="fixtures").database
    restorer.databases.drop(new, None)
    # An archive of an earlier release does not tell; its load fails, and says what that means.
    older = {key: value for key, value in restorer.metadata().items() if key not in ("owners", "superuser_objects")}
    new = restorer.databases.create(database.user, older, ()).database
    failed = restorer.load(new)
    assert "source=fixtures" in failed["hint"], failed
    assert "OWNER TO" in failed["hint"], failed
    restorer.databases.drop(new, None)
    # What was told is done.
    admin(
        "DROP EVENT TRIGGER sees", "DROP PUBLICATION everything, there", "ALTER VIEW of_the_superuser OWNER TO {u}",
        "GRANT {s} TO {u}",
    )  # fmt: skip
    assert "will not load" not in server.run("backup", "--force").stderr
    restorer.fetch()
    new = restorer.create()
    assert restorer.load(new).get("proven")
    creates = "SELECT has_schema_privilege(%s, 'public', 'CREATE')"
    assert database.cluster.execute(creates, (stranger,), new) == [(False,)]
    restorer.swap(new)
    assert database.execute("SELECT one FROM theirs") == [(1,)]


def test_an_old_owner_that_is_gone_matters_where_it_owns_something(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    restorer = saved(server, application, keys)
    facts = {**restorer.metadata(), "owner": "long_gone"}
    facts["roles"] = [*facts["roles"], "long_gone"]
    facts["privileges"] = [*facts["privileges"], ["long_gone", "CONNECT", False]]
    create = restorer.databases.create
    create(application.database.user, facts, ())
    owned = {"role": "long_gone", "objects": 1, "example": "view v", "creates": False}
    with pytest.raises(RestoreError, match='role "long_gone" is missing: CREATE ROLE "long_gone"'):
        create(application.database.user, {**facts, "owners": [*facts["owners"], owned]}, ())


def test_settings_of_a_superuser_are_told_before_loading(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    database = application.database
    cluster, name, user = database.cluster, sql.Identifier(database.name), sql.Identifier(database.user)
    for text in (
        "ALTER DATABASE {} SET log_min_duration_statement = 500", "ALTER DATABASE {} SET work_mem = 5120",
        "ALTER DATABASE {} SET my.setting = 'x'",
        """ALTER DATABASE {} SET search_path = "$user", public, 'a b', 'it''s, "odd"' """,
        "ALTER ROLE postgres IN DATABASE {} SET work_mem = '6MB'",
    ):  # fmt: skip
        cluster.execute(sql.SQL(text).format(name))
    server.run("run")
    restorer = Restorer(server, database, keys.keyring)
    restorer.fetch()
    wanted = [
        f"""ALTER DATABASE "{database.name}" SET "log_min_duration_statement" TO '500'""",
        f"""ALTER ROLE "postgres" IN DATABASE "{database.name}" SET "work_mem" TO '6MB'""",
        "skip_settings", f'GRANT SET ON PARAMETER log_min_duration_statement TO "{database.user}"',
    ]  # fmt: skip
    words = says(restorer)
    assert [each for each in wanted if each not in words] == [], words
    assert "5120" not in words
    assert "GRANT SET ON PARAMETER my.setting TO" in words
    # An administrator runs these words: what stands in an archive is quoted in them.
    facts = restorer.metadata()
    facts["settings"] = [["", 'session_preload_libraries=a, "b c"; DROP DATABASE x; --\'']]
    with pytest.raises(RestoreError) as caught:
        restorer.databases.create(database.user, facts, ())
    assert "TO 'a', 'b c; DROP DATABASE x; --'''" in caught.value.message
    # Who leaves them out is not asked for them.
    new = restorer.databases.create(database.user, restorer.metadata(), (), skip_settings=True).database
    # And who had no manifest's word before the load gets the same words after it.
    failed = restorer.load(new)
    assert wanted[0] in failed["hint"], failed
    assert "restoring" not in failed["hint"]
    cluster.execute(sql.SQL("ALTER ROLE postgres IN DATABASE {} RESET work_mem").format(name))
    cluster.execute(sql.SQL("GRANT SET ON PARAMETER log_min_duration_statement, my.setting TO {}").format(user))
    try:
        server.run("backup", "--force")
        restorer.fetch()
        assert restorer.load(restorer.create()).get("proven")
    finally:
        cluster.execute(sql.SQL("REVOKE SET ON PARAMETER log_min_duration_statement, my.setting FROM {}").format(user))
