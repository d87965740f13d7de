"""A plain dump cut into its statements, while it streams by: what `psql` itself would tell apart.

Strings, quoted names, dollar quotes and comments (block comments nest) belong to the statement in which they stand, and
the rows of a COPY to no statement at all. Memory is bounded: a statement longer than `LIMIT` is handed on in parts.

The body of a function in standard SQL (`BEGIN ATOMIC ... END`) is cut at its semicolons. Only queries stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

LIMIT = 1 << 20
"""Bytes of the longest statement that is handed on as a whole. A COPY of 1,600 columns is a tenth of it."""
_AHEAD = 1024
"""Bytes that are read before it is sure that no token begins there: more than any dollar quote's tag has."""
_SPACE = re.compile(rb"\s+")
_WORD = rb"(?<![\w$\x80-\xff])"
_TOKEN = re.compile(
    _WORD + rb"[eE]'|['\";]|--|/\*|" + _WORD + rb"\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$",
)
_IN_COMMENT = re.compile(rb"/\*|\*/")
_IN_ESCAPED = re.compile(rb"\\|'")
_COPY = re.compile(rb"COPY .* FROM stdin;\Z", re.DOTALL)
_ESCAPES = re.compile(rb"SET standard_conforming_strings = (on|off);\Z")
_END = b"\n\\.\n"


class Kind(Enum):
    """What a piece is."""

    SPACE = "white space and comments between statements"
    COMMAND = "a line of psql's own"
    STATEMENT = "a whole statement, with its semicolon"
    COPY = "a statement that rows follow"
    PART = "a part of a statement that is longer than the limit"
    ROWS = "a part of a COPY's rows, from the newline before the first to the end mark"


@dataclass(frozen=True)
class Piece:
    """A piece of a dump, and the bytes that follow it, as many as the mark at the end of a COPY has."""

    kind: Kind
    text: bytes
    following: bytes = b""

    @property
    def has_no_rows(self) -> bool:
        """Whether this is a COPY without rows."""
        return self.kind is Kind.COPY and self.following == _END


def pieces(chunks: Iterable[bytes]) -> Iterator[Piece]:
    """Given a dump piece by piece, cut anyhow, yield the same bytes cut where its statements begin and end."""
    return _Lexer(chunks).pieces()


class _Lexer:
    """`data` is what was read and not yet handed on, with one byte before it; `pos` is how far it was looked at."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._start = 0
        self._pos = 0
        self._escapes = False

    def pieces(self) -> Iterator[Piece]:
        while self._has(1):
            yield from self._space()
            if not self._has(1):
                return
            if self._data.startswith(b"\\", self._pos):
                yield from self._seek(b"\n", Kind.PART)
                yield self._take(Kind.COMMAND)
            else:
                yield from self._statement()

    def _has(self, count: int) -> bool:
        """Read on until there are so many bytes to look at; return whether there are."""
        while len(self._data) - self._pos < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            # The byte before is looked at: `$` and `E` begin nothing behind a letter.
            kept = max(self._start - 1, 0)
            self._data = self._data[kept:] + chunk
            self._start -= kept
            self._pos -= kept
        return True

    def _take(self, kind: Kind) -> Piece:
        self._has(len(_END))
        text, self._start = self._data[self._start : self._pos], self._pos
        return Piece(kind, text, self._data[self._pos : self._pos + len(_END)])

    def _seek(self, end: bytes, kind: Kind) -> Iterator[Piece]:
        """Go behind the next `end`, or to the end of all."""
        while (found := self._data.find(end, self._pos)) < 0:
            self._pos = max(self._pos, len(self._data) - len(end) + 1)
            if not self._has(len(self._data) - self._pos + 1):
                self._pos = len(self._data)
                return
            yield from self._more_if_long(kind)
        self._pos = found + len(end)

    def _more_if_long(self, kind: Kind) -> Iterator[Piece]:
        if self._pos - self._start >= LIMIT:
            yield self._take(kind)

    def _space(self) -> Iterator[Piece]:
        while self._has(1):
            if space := _SPACE.match(self._data, self._pos):
                self._pos = space.end()
            elif self._has(2) and self._data.startswith(b"--", self._pos):
                yield from self._seek(b"\n", Kind.SPACE)
            elif self._data.startswith(b"/*", self._pos):
                self._pos += 2
                yield from self._comment(Kind.SPACE)
            else:
                break
            yield from self._more_if_long(Kind.SPACE)
        if self._pos > self._start:
            yield self._take(Kind.SPACE)

    def _statement(self) -> Iterator[Piece]:
        kind = Kind.STATEMENT
        ended = False
        while not ended:
            found = _TOKEN.search(self._data, self._pos)
            if not found:
                self._pos = max(self._pos, len(self._data) - _AHEAD)
                inner: Iterator[Piece] = iter(())
                if not self._has(len(self._data) - self._pos + 1):
                    self._pos, ended = len(self._data), True
            else:
                self._pos = found.end()
                ended = found[0] == b";"
                inner = self._inside(found[0])
            for piece in inner:
                kind = Kind.PART
                yield piece
            if self._pos - self._start >= LIMIT:
                kind = Kind.PART
                yield self._take(kind)
        piece = self._take(kind)
        if kind is Kind.STATEMENT and _COPY.match(piece.text):
            yield Piece(Kind.COPY, piece.text, piece.following)
            yield from self._seek(_END, Kind.ROWS)
            yield self._take(Kind.ROWS)
            return
        if escapes := _ESCAPES.match(piece.text):
            self._escapes = escapes[1] == b"off"
        yield piece

    def _inside(self, token: bytes) -> Iterator[Piece]:
        """Given a token that was found, go behind what it opens."""
        if token == b";":
            return iter(())
        if token == b"--":
            return self._seek(b"\n", Kind.PART)
        if token == b"/*":
            return self._comment(Kind.PART)
        if token in (b"e'", b"E'") or (token == b"'" and self._escapes):
            return self._escaped()
        # A quote that is doubled ends a string and begins the next one, which is the same.
        return self._seek(token, Kind.PART)

    def _comment(self, kind: Kind) -> Iterator[Piece]:
        depth = 1
        while depth:
            if found := _IN_COMMENT.search(self._data, self._pos):
                self._pos = found.end()
                depth += 1 if found[0] == b"/*" else -1
            else:
                self._pos = max(self._pos, len(self._data) - 1)
                if not self._has(len(self._data) - self._pos + 1):
                    self._pos = len(self._data)
                    return
                yield from self._more_if_long(kind)

    def _escaped(self) -> Iterator[Piece]:
        """Go behind a string in which a backslash takes the next byte's meaning."""
        while True:
            found = _IN_ESCAPED.search(self._data, self._pos)
            if not found:
                self._pos = len(self._data)
                if not self._has(1):
                    return
                yield from self._more_if_long(Kind.PART)
                continue
            self._pos = found.end()
            doubled = self._has(1) and self._data.startswith(b"'", self._pos)
            if found[0] == b"'" and not doubled:
                return
            self._pos = min(self._pos + 1, len(self._data))
