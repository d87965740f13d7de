"""Rows into tables by COPY, through either driver."""

from __future__ import annotations

import io
from typing import Any


def copy_in(cursor: Any, copies: list[tuple[str, bytes]]) -> None:
    """Given the driver's own cursor, and COPY statements with their rows, send them. Any thread may do that."""
    for statement, rows in copies:
        if hasattr(cursor, "copy_expert"):  # psycopg 2
            cursor.copy_expert(statement, io.BytesIO(rows), len(rows) + 1)
        else:
            with cursor.copy(statement) as copy:
                copy.write(rows)
