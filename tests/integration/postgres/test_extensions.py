"""Extensions that a superuser made, with tables whose rows belong to the application's data: PostGIS and its like.

PostGIS itself need not be installed: these extensions of the same names do what matters here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.preflight import loading_problems

from sandbox.postgres import Cluster
from tests.own_extensions import cluster_with
from tests.restoring import names_of
from tests.sql_round import Round, manifest_of, round_in

POSTGIS = """
CREATE TABLE @extschema@.spatial_ref_sys (srid integer PRIMARY KEY, name text);
INSERT INTO @extschema@.spatial_ref_sys VALUES (4326, 'WGS 84');
GRANT SELECT ON @extschema@.spatial_ref_sys TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.spatial_ref_sys', 'WHERE srid >= 900000');
CREATE TABLE @extschema@.all_dumped (name text PRIMARY KEY);
INSERT INTO @extschema@.all_dumped VALUES ('built-in');
GRANT SELECT ON @extschema@.all_dumped TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.all_dumped', '');
"""
JOBS = """
CREATE TABLE @extschema@.job (command text, username text);
GRANT SELECT ON @extschema@.job TO PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('@extschema@.job', '');
"""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    with cluster_with({"postgis": POSTGIS, "jobs": JOBS}) as cluster:
        yield cluster


@pytest.fixture
def round_(own_cluster: Cluster, tmp_path: Path) -> Iterator[Round]:
    with round_in(own_cluster, tmp_path) as made:
        made.by_admin("CREATE EXTENSION postgis SCHEMA public")
        made.database.execute("CREATE TABLE place (id integer)")
        yield made


def rows_of(round_: Round, table: str) -> list[tuple[object, ...]]:
    return round_.by_admin(f"SELECT * FROM {table} ORDER BY 1")


def privileges(round_: Round) -> list[tuple[object, ...]]:
    return round_.by_admin("SELECT relname, relacl::text FROM pg_class WHERE relname IN ('spatial_ref_sys', 'job')")


def test_an_extension_without_rows_of_its_own_is_restored_without_any_more_rights(round_: Round) -> None:
    round_.by_admin("DELETE FROM all_dumped")
    before = privileges(round_)
    archive = round_.save()
    assert [each["rows"] for each in manifest_of(archive).extension_tables or ()] == [0, 0]
    name = round_.create(archive, "postgis")
    assert round_.by_admin(f"SELECT has_table_privilege('{round_.database.user}', 'spatial_ref_sys', 'INSERT')",
                           name) == [(False,)]  # fmt: skip
    assert round_.load(archive, name).proven
    round_.swap(archive, name)
    assert rows_of(round_, "spatial_ref_sys") == [(4326, "WGS 84")]
    assert rows_of(round_, "all_dumped") == []
    assert privileges(round_) == before


def test_rows_that_the_application_relies_on_come_back_once_and_the_right_to_load_them_is_taken_back(
    round_: Round,
) -> None:
    round_.by_admin("INSERT INTO spatial_ref_sys VALUES (900913, 'ours'), (900914, 'ours too')")
    round_.by_admin("INSERT INTO all_dumped VALUES ('ours')")
    before = [privileges(round_), rows_of(round_, "spatial_ref_sys"), rows_of(round_, "all_dumped")]
    archive = round_.save()
    assert round_.restore(archive, "postgis").proven
    assert [privileges(round_), rows_of(round_, "spatial_ref_sys"), rows_of(round_, "all_dumped")] == before
    # A later backup holds the same, and its restore as well.
    assert round_.restore(round_.save(), "postgis").proven


def test_rows_that_may_be_orders_are_refused_before_anything_is_loaded(round_: Round) -> None:
    round_.by_admin("CREATE EXTENSION jobs SCHEMA public")
    archive = round_.save()
    dsn, user = parse_url(round_.database.url), round_.database.user
    assert not loading_problems(dsn, manifest_of(archive).database, user)
    assert round_.restore(archive, "postgis", "jobs").proven
    round_.by_admin("INSERT INTO job VALUES ('ALTER ROLE x SUPERUSER', 'postgres')")
    archive = round_.save()
    problems = loading_problems(dsn, manifest_of(archive).database, user)
    assert problems == [
        "rows of public.job, a table of the extension jobs, can only be loaded by an administrator: delete them, or"
        " restore by hand"
    ]
    before = names_of(round_.database)
    with pytest.raises(RestoreError, match=r"1 rows of public\.job, a table of the extension jobs"):
        round_.create(archive, "postgis", "jobs")
    assert names_of(round_.database) == before
