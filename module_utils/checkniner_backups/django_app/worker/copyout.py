"""The fast way: PostgreSQL makes the values, this puts the names between them; no Python code runs for a single row."""

from __future__ import annotations

import io
from typing import Any, Callable  # noqa: UP035  Python 3.8

from .statement import DELIMITER, NEWLINE, Plan

_DELIMITER = DELIMITER.encode()
_NEWLINE = NEWLINE.encode()
_BLOCK = 64 * 1024
"""Bytes of rows that become objects at once. With four times as many, memory for the objects is mapped anew each time,
which costs a quarter more."""


class ObjectWriter:
    """Turns blocks of COPY's rows into the objects of a fixture."""

    def __init__(self, plan: Plan, sink: Any, separator: bytes) -> None:
        self.sink = sink
        self.objects = 0
        self.columns = len(plan.constants) - 1
        self.meanings = [(place, meaning) for place, meaning in enumerate(plan.meanings) if meaning is not None]
        self.separator = separator + b"\n"
        self.form = b"%b".join(constant.replace(b"%", b"%%") for constant in plan.constants) + b",\n"

    def block(self, block: bytes) -> None:
        """Given whole rows, write them as objects.

        Values are JSON, so they hold no control characters: of COPY's escapes, only doubled backslashes can occur.
        """
        values = (
            block[:-1].replace(b"\\\\", b"\\").replace(b"\n", _DELIMITER).replace(_NEWLINE, b"\n").split(_DELIMITER)
        )
        rows = len(values) // self.columns
        if rows * self.columns != len(values):
            raise ValueError("PostgreSQL sent a row of another width")
        for place, meaning in self.meanings:
            values[place :: self.columns] = map(meaning.__getitem__, values[place :: self.columns])
        self.sink.write(self.separator)
        self.sink.write((self.form * rows)[:-2] % tuple(values))
        self.separator = b",\n"
        self.objects += rows


class _Blocks(io.RawIOBase):
    """What a buffer of rows is emptied into: hands on whole rows only."""

    def __init__(self, handle: Callable[[bytes], None]) -> None:
        super().__init__()
        self.handle = handle
        self.rest = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rows, newline, rest = bytes(data).rpartition(b"\n")
        if newline:
            self.handle(self.rest + rows + newline)
            self.rest = b""
        self.rest += rest
        return len(data)


def copy_out(connection: Any, statement: str, handle: Callable[[bytes], None]) -> None:
    """Given Django's connection and a COPY statement, call `handle` with blocks of whole rows."""
    rows = io.BufferedWriter(_Blocks(handle), _BLOCK)
    with connection.cursor() as wrapper, connection.wrap_database_errors:
        cursor = wrapper.cursor
        if hasattr(cursor, "copy_expert"):  # psycopg 2
            cursor.copy_expert(statement, rows)
        else:
            _copy_by_psycopg3(cursor, statement, rows)
    rows.flush()


def _copy_by_psycopg3(cursor: Any, statement: str, rows: Any) -> None:
    """Read rows from psycopg's `pq` layer: its `Copy` object costs as much again for each row."""
    from psycopg import errors, pq

    connection = cursor.connection.pgconn
    result = connection.exec_(statement.encode())
    if result.status != pq.ExecStatus.COPY_OUT:
        raise errors.error_from_result(result)
    receive, write = connection.get_copy_data, rows.write
    size, row = receive(0)
    while size > 0:
        write(row)
        size, row = receive(0)
    result = connection.get_result()
    while result is not None:
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise errors.error_from_result(result)
        result = connection.get_result()
