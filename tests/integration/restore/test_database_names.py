"""Which databases a restore has made is told by their names, also where these are long."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from checkniner_backups.postgres import admin
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.session import connect
from checkniner_backups.restore.databases import NEW, PREVIOUS, Databases

from sandbox.postgres import Cluster
from tests.plugins.postgres import Database

LONG = "an_application_with_a_name_of_forty_byte"  # 40 bytes, and then they differ
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize("first", ["a" * 63, LONG + "s_and_production", "ä" * 25])
def test_two_long_names_that_begin_alike(cluster: Cluster, database: Database, first: str) -> None:
    second = first[:-1] + "z"
    dsn = parse_url(cluster.admin_url())
    ours, theirs = Databases(dsn, first), Databases(dsn, second)
    try:
        for name in (first, second):
            cluster.create_database(name, database.user)
        left = theirs.create(database.user, {}, ()).database
        new = ours.create(database.user, {}, ()).database
        with connect(dsn) as connection:
            assert admin.exists(connection, left), "another application's restore is at work there"
            previous = ours.swap(new, {}).previous
            assert admin.previous_databases(connection, first, PREVIOUS) == [previous]
            assert admin.previous_databases(connection, second, PREVIOUS) == []
            assert admin.previous_databases(connection, second, NEW) == [left]
        assert len(previous.encode()) <= 63
        ours.undo()
    finally:
        pattern = f"{first[:20]}%"
        for (name,) in cluster.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (pattern,)):
            cluster.drop_database(name)


@pytest.mark.parametrize(("word", "room"), [(NEW, 37), (PREVIOUS, 40)])
def test_a_name_that_is_short_enough_stays(word: str, room: int) -> None:
    suffix = f"_{word}_20260102t030405"
    assert admin.stamped_name("n" * room, word, MOMENT) == "n" * room + suffix
    cut = admin.stamped_name("n" * (room + 1), word, MOMENT)
    assert len(cut) == 63
    assert cut.endswith(suffix)
    assert cut != "n" * room + suffix
