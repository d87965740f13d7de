"""A dump that a newer pg_dump made of an older server loads into that older server again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.programs import dump_program

from sandbox.owner import Account
from sandbox.postgres import Cluster, installed_versions
from tests.owner_side import as_engine
from tests.plugins.postgres import fresh_database

OLDER = max((major for major in installed_versions() if major < 17), default=None)
LINE = "SET transaction_timeout = 0;\n"
LOAD = """
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.load import load_sql
load_sql(parse_url(given["url"]), [given["sql"].encode()])
"""


@pytest.mark.skipif(OLDER is None, reason="no PostgreSQL before 17 is installed: there is no such server to try")
def test_a_dump_of_a_newer_pg_dump_is_loaded(owner: Account, engine: Path) -> None:
    with Cluster(OLDER) as cluster, fresh_database(cluster) as old, fresh_database(cluster) as new:
        for database in (old, new):
            cluster.execute(f'GRANT CREATE ON SCHEMA public TO "{database.user}"', database=database.name)
        old.execute("CREATE TABLE t AS SELECT 'SET transaction_timeout = 0;' AS a")
        command = [dump_program(OLDER or 0), "--no-owner", "--no-privileges"]
        environment = parse_url(old.url).environment()
        text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        if LINE not in text.partition("CREATE")[0]:
            text = text.replace("SET client_encoding", LINE + "SET client_encoding", 1)
        assert as_engine(owner, engine, LOAD, url=new.url, sql=text) is None
        assert new.execute("SELECT a FROM t") == [(LINE.strip(),)]
