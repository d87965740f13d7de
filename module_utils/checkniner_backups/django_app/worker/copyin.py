"""Rows into a table by COPY, through either driver."""

from __future__ import annotations

import io
from typing import Any


def copy_in(connection: Any, statement: str, rows: str) -> None:
    """Given Django's connection, a COPY statement and its rows, send them.

    :raises UnicodeEncodeError: they hold half of a surrogate pair
    """
    data = rows.encode()
    with connection.cursor() as wrapper, connection.wrap_database_errors:
        cursor = wrapper.cursor
        if hasattr(cursor, "copy_expert"):  # psycopg 2
            cursor.copy_expert(statement, io.BytesIO(data), len(data) + 1)
        else:
            with cursor.copy(statement) as copy:
                copy.write(data)
