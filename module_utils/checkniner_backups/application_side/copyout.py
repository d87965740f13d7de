"""The fast way: PostgreSQL makes the values, this puts the names between them; no Python code runs for a single row."""

from __future__ import annotations

from itertools import islice
from typing import Any, Callable  # noqa: UP035  Python 3.8

from .channel import FRAME_SIZE
from .plan import DELIMITER, NEWLINE

_DELIMITER = DELIMITER.encode()
_NEWLINE = NEWLINE.encode()


class ObjectWriter:
    """Turns blocks of COPY's rows into the objects of a fixture."""

    def __init__(self, constants: tuple[bytes, ...], sink: Any, separator: bytes) -> None:
        self.sink = sink
        self.objects = 0
        self.last = constants[-1]
        self.next = b",\n" + constants[0]
        self.before = separator + b"\n" + constants[0]
        self.between = [*constants[1:-1], self.last + self.next]

    def block(self, block: bytes) -> None:
        """Given whole rows, write them as objects.

        Values are JSON, so they hold no control characters: of COPY's escapes, only doubled backslashes can occur.
        """
        values = block[:-1].replace(b"\\\\", b"\\").replace(b"\n", _DELIMITER).split(_DELIMITER)
        rows = len(values) // len(self.between)
        if rows * len(self.between) != len(values):
            raise ValueError("PostgreSQL sent a row of another width")
        pieces = self.between * rows * 2
        pieces[0::2] = values
        pieces[1::2] = self.between * rows
        pieces[-1] = self.last
        self.sink.write(self.before + b"".join(pieces).replace(_NEWLINE, b"\n"))
        self.before = self.next
        self.objects += rows


class _Blocks:
    """The file that psycopg 2 writes rows to."""

    def __init__(self, handle: Callable[[bytes], None]) -> None:
        self.handle = handle
        self.rows: list[bytes] = []
        self.size = 0

    def write(self, row: bytes) -> None:
        self.rows.append(row)
        self.size += len(row)
        if self.size >= FRAME_SIZE:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            self.handle(b"".join(self.rows))
        self.rows, self.size = [], 0


def copy_out(connection: Any, statement: str, handle: Callable[[bytes], None]) -> None:
    """Given Django's connection and a COPY statement, call `handle` with blocks of whole rows."""
    with connection.cursor() as wrapper:
        cursor = wrapper.cursor
        if hasattr(cursor, "copy_expert"):  # psycopg 2
            blocks = _Blocks(handle)
            cursor.copy_expert(statement, blocks)
            blocks.flush()
            return
        with cursor.copy(statement) as rows:  # psycopg 3
            source, number = iter(rows), 16
            while True:
                block = b"".join(islice(source, number))
                if not block:
                    return
                handle(block)
                number = max(1, number * FRAME_SIZE // len(block))
