"""What is in a plain dump, found while it streams by, at the speed of searching bytes: rows, and a digest of the rest.

The counts prove that `pg_dump` saw what the other readers saw: an SQL file with an empty COPY block is valid, and
worthless. The digest of all statements but those that carry data tells whether the schema is the same as in another
dump.
"""

from __future__ import annotations

import hashlib
import re

_HEADER = b"COPY "
_FROM = b" FROM stdin;"
_END = b"\\.\n"
# A random token, versions, and what carries data: sequences and large objects.
_NO_SCHEMA = (b"\\restrict ", b"\\unrestrict ", b"-- Dumped ", b"SELECT pg_catalog.setval(", b"SELECT pg_catalog.lo")
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')


class RowCounter:
    """Given a dump chunk by chunk, knows how many rows each COPY block holds.

    Between two chunks it keeps the beginning of an unfinished line only; within a row longer than a chunk, nothing.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        """Rows by the table's name as `pg_dump` quotes it."""
        self._schema = hashlib.sha256()
        self._table = ""
        self._rest = b""
        self._in_long_row = False

    @property
    def schema_sha256(self) -> str:
        """The digest (hex) of what was fed, without data."""
        return self._schema.hexdigest()

    def _add_to_schema(self, lines: bytes) -> None:
        for line in lines.splitlines(keepends=True):
            if not line.startswith(_NO_SCHEMA):
                self._schema.update(line)

    def feed(self, chunk: bytes) -> None:
        """Given the next bytes of the dump, count on."""
        if self._in_long_row:
            end = chunk.find(b"\n") + 1
            if not end:
                return
            self.rows[self._table] += 1
            self._in_long_row = False
            chunk = chunk[end:]
        data = self._rest + chunk
        more = True
        while more:
            data, more = self._in_block(data) if self._table else self._between_blocks(data)
        self._rest = data

    def _in_block(self, data: bytes) -> tuple[bytes, bool]:
        """Given data that begins at a line of a COPY block, return what is left, and whether to go on."""
        end = 0 if data.startswith(_END) else data.find(b"\n" + _END) + 1
        if end or data.startswith(_END):
            self.rows[self._table] += data.count(b"\n", 0, end)
            self._table = ""
            return data[end + len(_END) :], True
        complete = data.rfind(b"\n") + 1
        self.rows[self._table] += data.count(b"\n", 0, complete)
        rest = data[complete:]
        if len(rest) >= len(_END):
            self._in_long_row = True
            return b"", False
        return rest, False

    def _between_blocks(self, data: bytes) -> tuple[bytes, bool]:
        """Given data that begins at a line outside of COPY blocks, return what is left, and whether to go on."""
        start = 0 if data.startswith(_HEADER) else data.find(b"\n" + _HEADER) + 1
        if not start and not data.startswith(_HEADER):
            end = data.rfind(b"\n") + 1
            self._add_to_schema(data[:end])
            return data[end:], False
        self._add_to_schema(data[:start])
        stop = data.find(b"\n", start)
        if stop < 0:
            return data[start:], False
        line = data[start:stop]
        if line.endswith(_FROM):
            self._table = _target(line[len(_HEADER) :])
            self.rows[self._table] = 0
        return data[stop + 1 :], True


def _target(header: bytes) -> str:
    """Given `public.t (a, b) FROM stdin;`, return `public.t`: the columns start at the first unquoted parenthesis."""
    quoted = False
    for position, character in enumerate(header):
        if character == ord('"'):
            quoted = not quoted
        elif character == ord("(") and not quoted:
            return header[:position].decode().rstrip()
    return header.decode().removesuffix(_FROM.decode())


def unquoted(name: str) -> tuple[str, ...]:
    """Given `public."order"` or `public.order`, return the parts as they are.

    Which words need quotes differs between releases: a newer `pg_dump` quotes names that an older server does not.
    """
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(name))
