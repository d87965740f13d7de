"""Hostile SQL in an archive gets no further than the rights of the application's role in the new database."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from sandbox.owner import Account
from sandbox.postgres import Cluster
from tests.owner_side import as_engine
from tests.plugins.postgres import Database, fresh_database

COMPLETE = "\n--\n-- PostgreSQL database dump complete\n--\n\n"
LOAD = """
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.load import load_sql
load_sql(parse_url(given["url"]).to(given["new"]), [given["sql"].encode()])
result = {}
"""


@dataclass(frozen=True)
class World:
    """A live database with one row, a new one beside it of the same role, and somebody else's."""

    live: Database
    new: str
    other: Database
    owner: Account
    engine: Path
    marker: Path

    def load(self, text: str) -> dict[str, Any]:
        """Load this SQL as a restore does; return the error, or nothing."""
        done = as_engine(self.owner, self.engine, LOAD, url=self.live.url, new=self.new, sql=text)
        return dict(done)


@pytest.fixture(scope="module")
def world(cluster: Cluster, owner: Account, engine: Path) -> Iterator[World]:
    """One for all: what is tried here must change nothing."""
    with fresh_database(cluster) as live, fresh_database(cluster) as other:
        new = f"{live.name}_new"
        cluster.create_database(new, live.user)
        for each in (live, other):
            each.execute("CREATE TABLE precious (id integer PRIMARY KEY)")
            each.execute("INSERT INTO precious VALUES (1)")
        yield World(live, new, other, owner, engine, engine.parent.parent.parent / "marker")


META = {
    "shell": r"\! touch {marker}",
    "backquotes behind unrestrict": r"\unrestrict `touch {marker}`",
    "connect": "\\connect {live}\nDROP TABLE precious;",
    "copy to a file": r"\copy (SELECT 1) TO '{marker}'",
    "copy to a program": r"\copy (SELECT 1) TO PROGRAM 'touch {marker}'",
    "pipe": r"SELECT 1 \g |touch {marker}",
    "output to a file": "\\o {marker}\nSELECT 1;",
    "read a file": r"\i /etc/passwd",
    "import a file": r"\lo_import /etc/passwd",
    "a variable of the shell": "\\set x `touch {marker}`\nSELECT 1;",
    "guess": "\\unrestrict 0\n\\! touch {marker}",
    "an end and a beginning of its own": "\\restrict a\n\\unrestrict a\n\\! touch {marker}",
}
SQL = {
    "program on the server": "COPY (SELECT 1) TO PROGRAM 'touch {marker}';",
    "file on the server": "COPY (SELECT 1) TO '{marker}';",
    "superuser": "ALTER ROLE CURRENT_USER SUPERUSER;",
    "create roles": "CREATE ROLE evil SUPERUSER LOGIN;",
    "another role": "SET ROLE postgres;",
    "another session": "SET SESSION AUTHORIZATION postgres;",
    "reset": "RESET SESSION AUTHORIZATION; RESET ROLE; ALTER SYSTEM SET archive_command = 'touch {marker}';",
    "somebody else's database": "DROP DATABASE {other} WITH (FORCE);",
    "rename the live database": "ALTER DATABASE {live} RENAME TO {live}_gone;",
    "untrusted extension": "CREATE EXTENSION file_fdw;",
    "untrusted language": "CREATE FUNCTION f() RETURNS void LANGUAGE c AS 'libc.so.6', 'system';",
    "library": "LOAD '/tmp/evil.so';",
    "preload": "SET session_preload_libraries = 'evil';",
    "preload for good": "ALTER DATABASE {new} SET session_preload_libraries = 'evil';",
    "read the passwords": "SELECT * FROM pg_authid;",
    "read a file of the server": "SELECT pg_read_file('postgresql.conf');",
    "end somebody else": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres';"
    " SELECT 1/0;",
}


def unharmed(world: World) -> None:
    assert not world.marker.exists()
    assert world.live.execute("SELECT count(*) FROM precious") == [(1,)]
    assert world.other.execute("SELECT count(*) FROM precious") == [(1,)]
    role = "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s"
    assert world.live.execute(role, (world.live.user,)) == [(False, False, False)]


@pytest.mark.parametrize("name", META)
def test_no_command_of_psql_works(world: World, name: str) -> None:
    names = {"marker": world.marker, "live": world.live.name}
    text = META[name]
    for key, value in names.items():
        text = text.replace("{" + key + "}", str(value))
    failed = world.load(f"CREATE TABLE IF NOT EXISTS a (i int);\n{text}\n{COMPLETE}")
    assert failed["error"] == "DatabaseError"
    assert "the archive may be hostile" in failed["hint"]
    unharmed(world)


@pytest.mark.parametrize("name", SQL)
def test_no_statement_goes_beyond_the_roles_own_rights(world: World, name: str) -> None:
    text = SQL[name].format(marker=world.marker, live=world.live.name, new=world.new, other=world.other.name)
    failed = world.load(f"{text}\n{COMPLETE}")
    assert failed["error"] == "DatabaseError"
    assert "the running database is unchanged" in failed["hint"]
    unharmed(world)


def test_a_key_of_the_dump_does_not_open_ours(world: World) -> None:
    text = f"\\restrict abc\nSELECT 1;\n\\unrestrict abc\n\\! touch {world.marker}\n{COMPLETE}"
    assert world.load(text)["error"] == "DatabaseError"
    unharmed(world)


@pytest.mark.parametrize("style", ["new", "old"])
def test_dumps_of_pg_dump_load(world: World, cluster: Cluster, style: str) -> None:
    source = world.live
    source.execute("CREATE TABLE IF NOT EXISTS odd (t text)")
    source.execute("INSERT INTO odd VALUES (%s)", ("\\! echo\n\\unrestrict x\n\\.\nCOPY x FROM stdin;",))
    done = subprocess.run([cluster.binaries / "pg_dump", source.url], capture_output=True, text=True, check=True)
    text = done.stdout
    if style == "old":
        text = re.sub(r"^\\(un)?restrict .*\n", "", text, flags=re.MULTILINE)
    new = f"{source.name}_{style}_style"
    cluster.create_database(new, source.user)
    found = as_engine(world.owner, world.engine, LOAD, url=source.url, new=new, sql=text)
    assert found == {}
    query = sql.SQL("SELECT * FROM odd ORDER BY 1")
    assert cluster.execute(query, database=new) == cluster.execute(query, database=source.name)


def test_a_dump_that_ends_too_early_is_refused(world: World) -> None:
    # psql takes the end of its input for the end of the data, and is content.
    failed = world.load("CREATE TABLE cut (i int);\nCOPY cut FROM stdin;\n1\n")
    assert failed["error"] == "ArchiveError"
    assert "ends before its end" in failed["message"]
