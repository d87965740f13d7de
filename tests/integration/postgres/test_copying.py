"""Reading rows in blocks: all of them, errors in the middle, and a connection that is of use afterwards."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from checkniner_backups.postgres.copying import copy_out
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.session import connect
from psycopg import sql


def _rows(connection: psycopg.Connection, query: sql.SQL) -> tuple[int, bytes]:
    blocks: list[bytes] = []
    count = copy_out(connection, query.format(), lambda block: blocks.append(bytes(block)))
    return count, b"".join(blocks)


def test_every_row_arrives_in_order(database) -> None:
    with connect(parse_url(database.url)) as connection:
        count, text = _rows(connection, sql.SQL("COPY (SELECT generate_series(1, 200000)) TO STDOUT"))
        assert count == 200000
        assert text == b"".join(b"%d\n" % number for number in range(1, 200001))
        long_row = sql.SQL("COPY (SELECT repeat('x', 3000000) UNION ALL SELECT '') TO STDOUT")
        assert _rows(connection, long_row) == (2, b"x" * 3000000 + b"\n\n")
        assert _rows(connection, sql.SQL("COPY (SELECT 1 WHERE false) TO STDOUT")) == (0, b"")


@pytest.mark.parametrize("query", ["COPY (SELECT 1 / (g - 3000) FROM generate_series(1, 9999) g) TO STDOUT", "COPY x"])
def test_an_error_leaves_a_usable_connection(database, query: str) -> None:
    with connect(parse_url(database.url)) as connection:
        with pytest.raises(psycopg.Error):
            _rows(connection, sql.SQL(query))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_other_threads_go_on_and_may_cancel(database) -> None:
    with connect(parse_url(database.url)) as connection:
        slow = sql.SQL("COPY (SELECT repeat('x', 10000), pg_sleep(g) FROM generate_series(0, 30, 10) g) TO STDOUT")
        threading.Timer(0.3, connection.cancel).start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            _rows(connection, slow)
        assert time.monotonic() - started < 5
