"""The swap and the way back: what stops it, what it keeps, and what it tells of that."""

from __future__ import annotations

import psycopg
import pytest
from checkniner_backups.errors import RestoreError
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.restore.databases import Databases

from sandbox.postgres import Cluster
from tests.plugins.application import RunningApplication
from tests.restoring import Restorer, digest_of, names_of, restorer

__all__ = ["restorer"]


def oid_of(cluster: Cluster, name: str) -> int:
    return int(cluster.execute("SELECT oid FROM pg_database WHERE datname = %s", (name,))[0][0])


def test_a_swap_that_must_not_be(restorer: Restorer, application: RunningApplication) -> None:
    database = restorer.database
    cluster = database.cluster
    new = restorer.create()
    assert restorer.load(new)["proven"]
    before = digest_of(database)
    # The slot first: to be made, it waits for all transactions.
    slot = f"slot_{database.name}"
    cluster.execute("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (slot,), database=database.name)
    database.execute("BEGIN; INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES ('P', 'p', false);"
                     f" PREPARE TRANSACTION 'prepared {database.name}'")  # fmt: skip
    with pytest.raises(
        RestoreError, match=f"prepared transaction prepared {database.name}; logical replication slot {slot}"
    ):
        restorer.swap(new)
    assert names_of(database) == {database.name, new}
    database.execute(f"ROLLBACK PREPARED 'prepared {database.name}'")
    cluster.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    # Somebody is connected, in a transaction: ended, and welcome again.
    with database.connect() as session:
        session.execute("SELECT count(*) FROM auth_user")
        swapped = restorer.swap(new)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert swapped.outage < 10
    assert database.execute("SELECT count(*) FROM auth_user")
    assert digest_of(database, swapped.previous) == before
    restored = digest_of(database)
    assert restored != before
    application.change()
    # And back; what was live is kept in its place.
    undone = restorer.databases.undo()
    assert digest_of(database) == before
    assert swapped.previous not in names_of(database)
    assert digest_of(database, undone.previous) != before
    # Another try after a killed one removes what that one left; none that a restore did not make can be dropped.
    left, other = oid_of(cluster, restorer.create()), f"{database.name}_mine"
    cluster.create_database(other, database.user)
    with pytest.raises(RestoreError, match="not a database that a restore made"):
        restorer.databases.drop(other, None)
    # One under a name that the user chose is ours all the same.
    beside = restorer.databases.create(database.user, restorer.metadata(), (), f"{database.name}_beside").database
    restorer.databases.drop(beside, None)
    assert beside not in names_of(database)
    again = restorer.create()
    assert names_of(database) == {database.name, undone.previous, other, again}
    assert oid_of(cluster, again) != left  # they may share a name, which ends in the second


def test_an_undo_goes_where_it_can_and_tells_what_it_left(restorer: Restorer) -> None:
    database, databases = restorer.database, restorer.databases
    cluster, live = database.cluster, database.name
    with pytest.raises(RestoreError, match="no earlier database") as caught:
        databases.undo()
    first = digest_of(database)
    kept = []
    for number in (1, 2):
        kept.append(restorer.swap(restorer.create()).previous)
        database.execute(f"CREATE TABLE public.marker AS SELECT {number} AS number")
    older, newer = kept
    with pytest.raises(RestoreError, match=f"{live}_mine is no database that a restore of {live} kept") as caught:
        databases.undo(f"{live}_mine")
    assert f"{newer}, {older}" in caught.value.hint

    # What an interrupted DROP leaves cannot be connected to; nor what its administrator has closed.
    for broken in ("datconnlimit = -2", "datallowconn = false"):
        cluster.execute(f"UPDATE pg_database SET {broken} WHERE datname = %s", (newer,))
        for name in ("", newer):
            with pytest.raises(RestoreError, match=f"{newer} cannot be connected to") as caught:
                databases.undo(name)
            assert older in caught.value.hint
            assert newer not in caught.value.hint
        cluster.execute("UPDATE pg_database SET datconnlimit = -1, datallowconn = true WHERE datname = %s", (newer,))
    assert database.execute("SELECT number FROM marker") == [(2,)]

    # Further back than the last one.
    rehearsed = Databases(parse_url(cluster.admin_url()), live, dry_run=True).undo(older)
    undone = databases.undo(older)
    assert rehearsed.after == undone.after == tuple(sorted({live, newer, undone.previous}))
    assert digest_of(database) == first
    assert database.cluster.execute("SELECT number FROM marker", database=undone.previous) == [(2,)]

    # The live database is gone: nothing is kept in its place. Those that are kept are not dropped then.
    cluster.drop_database(live)
    with pytest.raises(RestoreError, match=f"there is no database {live}, and {undone.previous}, {newer} may be all"):
        databases.drop("", 0)
    rehearsed = Databases(parse_url(cluster.admin_url()), live, dry_run=True).undo()
    gone = databases.undo()
    assert (gone.previous, rehearsed.previous) == ("", "")
    assert rehearsed.after == gone.after == (live, newer)
    assert database.execute("SELECT number FROM marker") == [(2,)]
    assert databases.drop("", 0).after == (live,)
    assert names_of(database) == {live}
