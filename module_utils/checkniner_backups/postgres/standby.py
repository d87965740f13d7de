"""A hot standby as the source of backups: whether it follows its primary, and what ends a reader there.

A standby whose replication has stopped answers as ever, and shows what it replayed last: every tick would say
"unchanged" of data that has changed since. So nothing is read before the standby has replayed what it had received,
and one that receives nothing is refused. How far the primary is ahead of what was received, an ordinary role on the
standby cannot see.
https://www.postgresql.org/docs/current/hot-standby.html
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import DatabaseError, NoDatabaseError
from .dsn import Dsn
from .session import connect, fetch_one

if TYPE_CHECKING:
    from .session import Connection

PATIENCE = 60.0
"""Seconds for replay to catch up: `max_standby_streaming_delay`, for which others' queries may hold it up, is 30."""
_POLL = 0.2

# An ordinary role sees of the view that there is a receiver. Where the server is no standby, the positions are null.
_STATE = """
SELECT pg_catalog.pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver WHERE pid IS NOT NULL),
       pg_catalog.pg_last_wal_receive_lsn()::pg_catalog.text,
       pg_catalog.pg_last_wal_replay_lsn() >= coalesce(%s::pg_catalog.pg_lsn, pg_catalog.pg_last_wal_receive_lsn())
"""


def in_recovery(connection: Connection) -> bool:
    """Return whether the server is a standby."""
    return bool(fetch_one(connection, "SELECT pg_catalog.pg_is_in_recovery()")[0])


def shows_the_primary(dsn: Dsn) -> bool:
    """Given a database, return whether it is there, and not on a standby, which may be behind its primary.

    :raises DatabaseError: the server cannot be reached or refuses
    """
    try:
        with connect(dsn) as connection:
            return not in_recovery(connection)
    except NoDatabaseError:
        return False


def wait_for_replay(connection: Connection) -> None:
    """Given a connection outside a transaction, return when a standby shows all that it had received until now.

    Where the server is no standby, return at once.

    :raises DatabaseError: it receives nothing from a primary, or does not replay it within `PATIENCE` seconds
    """
    deadline = time.monotonic() + PATIENCE
    target = None
    while True:
        standby, receives, received, replayed = fetch_one(connection, _STATE, target)
        if not standby or (receives and replayed):
            return
        if receives:
            target = target or received
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    if not receives:
        raise DatabaseError(
            "the server is a standby that receives nothing from a primary: nobody knows how old its data are",
            "look at primary_conninfo and the server's log, and whether the primary runs; a standby that is fed from an"
            " archive of WAL alone cannot be backed up from",
        )
    raise DatabaseError(
        f"the server is a standby that has not replayed within {PATIENCE:.0f} s what it had received",
        "look whether its replay is paused (pg_wal_replay_resume), delayed (recovery_min_apply_delay), or held up by a"
        " long query (pg_stat_activity, max_standby_streaming_delay)",
    )
