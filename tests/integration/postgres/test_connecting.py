"""How an application's role connects, and what stands in its way: it works, or a message names the cause."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from checkniner_backups.django_app.sources import application_dsn, owner_dsn
from checkniner_backups.errors import DatabaseError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.session import connect
from checkniner_backups.postgres.snapshot_token import read_token
from psycopg import sql

from sandbox.server import Server
from tests.change_checks import ChangeChecks, checks, must_see
from tests.plugins.application import RunningApplication
from tests.sql_round import Round, saved_and_restored

__all__ = ["checks", "saved_and_restored"]


def test_a_role_that_only_reads_by_default_is_restored(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    for statement in (
        "CREATE TABLE t (i integer)",
        "INSERT INTO t VALUES (1)",
        f"ALTER DATABASE {database.name} SET work_mem = '5MB'",
        f"COMMENT ON DATABASE {database.name} IS 'x'",
    ):
        database.execute(statement)
    saved_and_restored.by_admin(f"ALTER ROLE {database.user} SET default_transaction_read_only = on")
    assert saved_and_restored.restore(saved_and_restored.save()).proven
    assert database.execute("SELECT * FROM t") == [(1,)]
    assert database.execute("SHOW default_transaction_read_only") == [("on",)]


def test_a_server_without_a_connection_left_says_so(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    saved_and_restored.by_admin(f"ALTER ROLE {database.user} CONNECTION LIMIT 1")
    dsn = parse_url(database.url)
    with ExitStack() as stack:
        stack.enter_context(database.connect())
        with pytest.raises(DatabaseError) as failed, connect(dsn):
            pass
        assert "no connection left on the server" in failed.value.hint
        with pytest.raises(DatabaseError) as failed:
            read_token(dsn)
        assert "no connection left on the server" in failed.value.hint


def test_what_the_url_leaves_open_is_told_by_variables_of_the_application(checks: ChangeChecks) -> None:
    application = checks.application
    script = application.virtualenv / "bin" / "activate"
    whole = parse_url(application.database.url)
    bare = f"postgres:///{quote(whole.database)}"
    with script.open("a") as file:
        file.write(f"\nexport DATABASE_URL={bare} PGPASSWORD={whole.password} PGUSER={whole.user}\n")
        file.write(f"export PGHOST={whole.host} PGPORT={whole.port} PGCONNECT_TIMEOUT=7\n")
    application.manage("check", "--database", "default")  # Django connects
    for read in (application_dsn, owner_dsn):
        dsn, _ = read(checks.settings)
        assert (dsn.user, dsn.password, dsn.host, dsn.port) == (whole.user, whole.password, whole.host, whole.port)
        assert dsn.options == (("connect_timeout", "7"),)
        assert read_token(dsn)
        with connect(dsn.to("postgres")):
            pass
    application.change()
    must_see(checks, "checkouts_airstrip")
    with script.open("a") as file:
        file.write("export PGPASSWORD=\n")
    with pytest.raises(DatabaseError) as failed, connect(application_dsn(checks.settings)[0]):
        pass
    assert "there is none: put it into the database URL" in failed.value.hint


def test_the_check_sees_row_level_security(server: Server, application: RunningApplication) -> None:
    database = application.database
    for statement in ("ENABLE ROW LEVEL SECURITY", "FORCE ROW LEVEL SECURITY"):
        database.execute(f"ALTER TABLE auth_user {statement}")
    found = server.run("check", check=False)
    assert found.returncode == DatabaseError.exit_status
    assert "row-level security may hide rows of public.auth_user from the role" in found.stderr
    assert "BYPASSRLS" in found.stderr
    database.cluster.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(database.user)))
    assert server.run("check").returncode == 0
    database.cluster.execute(sql.SQL("ALTER ROLE {} NOBYPASSRLS").format(sql.Identifier(database.user)))
    database.execute("ALTER TABLE auth_user NO FORCE ROW LEVEL SECURITY")
    assert server.run("check").returncode == 0


def test_the_schemes_of_postgresqls_backends_lead_to_the_same_database(saved_and_restored: Round) -> None:
    url = saved_and_restored.database.url
    for scheme in ("postgres", "pgsql", "postgis", "timescale", "timescalegis", "psqlextra"):
        dsn = parse_url(url.replace("postgresql://", f"{scheme}://"))
        assert dsn == parse_url(url)
        with connect(dsn):
            pass
        done = subprocess.run(["psql", "-XAtc", "SELECT 1"], env=dsn.environment(), capture_output=True, check=True)
        assert done.stdout == b"1\n"
