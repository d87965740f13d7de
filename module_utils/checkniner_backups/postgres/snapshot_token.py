"""The snapshot token: a short text that is the same as long as nothing visible to us has changed. About a millisecond.

Why it is sound. What a session can see is decided by its MVCC snapshot alone. `pg_current_snapshot()` prints that
snapshot: the oldest transaction still in progress, the next one to be handed out, and those in progress between. Every
commit that changes a row has a transaction id, and moves one of the three. So, in the same database of the same
server run, the same text means the same visible rows. The rest of the token says what "the same server run" is:

* the database's OID and the role: another database of the same name, other rows by other rights;
* the cluster's identifier and timeline: a replaced cluster, a promoted standby, a point-in-time recovery;
* the postmaster's start and the background writer's `stats_reset`: a crash recovery, after which transaction ids
  that were never written to disk may be handed out again, resets the latter even where the postmaster lives on.

On a standby the snapshot's text does not list transactions in progress, so there is no token there.
https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT

The query runs through `psql`: importing psycopg costs ten times as much as the whole check.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from ..errors import DatabaseError
from ..system.processes import answer
from .dsn import Dsn
from .programs import client_program
from .session import connection_hint

if TYPE_CHECKING:
    from .session import Connection

_QUERY = """
SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN '' ELSE pg_catalog.concat_ws('/',
    pg_catalog.pg_current_snapshot(),
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
    current_user,
    (SELECT system_identifier FROM pg_catalog.pg_control_system()),
    (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
    EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()),
    (SELECT EXTRACT(epoch FROM stats_reset) FROM pg_catalog.pg_stat_bgwriter))
END
"""


_PATIENCE = 60
"""Seconds for what takes a millisecond: a server that is not back by then hangs."""


def read_token(dsn: Dsn) -> str:
    """Given a database, return its token as a new session sees it; empty on a standby.

    :raises DatabaseError: the server cannot be reached or refuses
    """
    command = [str(client_program("psql")), "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-c", _QUERY]
    try:
        done = answer(command, env=dsn.environment(), seconds=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise DatabaseError(f"cannot look at {dsn}: no answer within {_PATIENCE} s", connection_hint("")) from None
    if done.returncode != 0:
        lines = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        raise DatabaseError(f"cannot look at {dsn}: {lines[:500]}", connection_hint(lines, dsn))
    return done.stdout.strip()


def token_of(connection: Connection) -> str:
    """Given a transaction that has its snapshot, return that snapshot's token; empty on a standby."""
    row = connection.execute(_QUERY).fetchone()
    return str(row[0]) if row else ""
