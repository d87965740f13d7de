"""SQL is loaded by the application's role: what other roles own in it loads, or is refused before anything is made."""

from __future__ import annotations

import pytest

from sandbox.server import Server
from tests.integration.test_restore_privileges import given_away, saved
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.restoring import digest_of

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
