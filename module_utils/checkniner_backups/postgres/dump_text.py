"""What of a plain dump is not sent to `psql` as it stands: a few statements that `pg_dump` itself writes.

Nothing here protects from hostile content: that is done by privilege (load.py). Without these statements a good dump
loads where a superuser has prepared its extensions, and below a `\\restrict` of our own. Only whole statements are
looked at (dump_lexer.py): what stands in a function's body, a string or a COPY's rows is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from ..errors import ArchiveError
from .dump_lexer import Kind, Piece, pieces
from .quoting import literal

# An extension that an administrator made belongs to the administrator, and so do its comments: comments.py.
_COMMENT = b"COMMENT ON EXTENSION "
# Since August 2025 pg_dump puts its dump between these two; psql does not nest them.
_RESTRICT = re.compile(rb"\\restrict ([A-Za-z0-9]+)\n")
# A pg_dump of 17 or later writes it, whatever server it reads; one before 17 refuses it.
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;"
_TRANSACTION = (b"BEGIN;", b"COMMIT;")
_NO_PATH = b"SELECT pg_catalog.set_config('search_path', '', false);"
# What pg_dump writes before the first object.
_HEAD = re.compile(rb"(?:SET .*;|SELECT pg_catalog\.set_config\(.*\);)\Z")
_SCHEMA = re.compile(rb"CREATE SCHEMA (.+);\Z")
_PUBLIC = re.compile(rb"ALTER SCHEMA public OWNER TO ([^\n]+);\Z")
# Only what pg_dump writes below its own heading, once.
_PUBLIC_HEADING = re.compile(
    rb"^-- Name: public; Type: SCHEMA; Schema: -; Owner: [^\n]*\n--\n(?:--[^\n]*\n|\n)*\Z", re.MULTILINE
)
_COMPLETE = b"-- PostgreSQL database dump complete"
_TAIL = 1024
"""Bytes that hold the dump's last lines."""
_HEADING = 1 << 16
"""Bytes before a statement that are looked at."""
_LONG_SPACE = 4096
"""Bytes of white space that `pg_dump` never writes between statements: psql would take a minute for 200 MiB of it."""


def loadable(
    chunks: Iterable[bytes],
    schemas: Collection[str] = (),
    roles: Collection[str] = (),
    *,
    transaction_timeout: bool = True,
    search_path: str = "",
    closed: Collection[str] = (),
    one_transaction: bool = False,
) -> Iterator[bytes]:
    """Given a dump piece by piece, yield it without the statements that would stop a load into a prepared database.

    :param schemas: names of schemas that are there already
    :param roles: whom the one who loads may give the schema `public` to. From others it stays the database's owner's,
        as in every new database; the dump's own GRANTs say who else may use it
    :param transaction_timeout: whether the server has the setting of that name, which came with PostgreSQL 17
    :param search_path: a search path to load with, instead of the empty one that the dump sets
    :param closed: tables, quoted, into which the one who loads may not insert: their COPY goes where it has no rows
    :param one_transaction: whether all is loaded in one transaction: those around large objects are then left out
    :raises ArchiveError: the dump ends before its end: `pg_dump` had not finished it
    """
    judge = _Judge(
        schemas,
        roles,
        transaction_timeout=transaction_timeout,
        search_path=search_path,
        closed=closed,
        one_transaction=one_transaction,
    )
    tail = b""
    for piece in pieces(chunks):
        tail = (tail + piece.text[-_TAIL:])[-_TAIL:]
        if kept := judge.kept(piece):
            yield kept
    if _COMPLETE not in tail:
        raise ArchiveError("the SQL in the archive ends before its end", "pg_dump had not finished it; take another")


class _Judge:
    """Decides about one piece after the other."""

    def __init__(
        self,
        schemas: Collection[str],
        roles: Collection[str],
        *,
        transaction_timeout: bool,
        search_path: str,
        closed: Collection[str],
        one_transaction: bool,
    ) -> None:
        self._schemas = schemas
        self._roles = roles
        self._transaction_timeout = transaction_timeout
        self._search_path = search_path
        self._one_transaction = one_transaction
        self._closed = tuple(f"COPY {name} ".encode() for name in closed)
        self._before = b"\n"
        """White space and comments since the last statement, or their end."""
        self._in_head = True
        self._public_seen = False
        self._token: bytes | None = None
        self._leaves_newline = False
        self._leaves_rows = False
        self._leaves_parts = False

    def kept(self, piece: Piece) -> bytes:
        """Given a piece, return what of it is sent on."""
        text = piece.text
        if piece.kind is Kind.SPACE:
            return self._space(text)
        if piece.kind is Kind.ROWS:
            leaves, self._leaves_rows = self._leaves_rows, False
            self._before = b"\n"  # the mark at the end is a whole line
            return b"" if leaves else text
        if piece.kind is Kind.PART:
            return self._part(text)
        if piece.kind is Kind.COMMAND:
            self._before = b"\n"
            return b"" if self._is_dumps_own(text) else text
        return self._statement(piece)

    def _space(self, text: bytes) -> bytes:
        self._before = (self._before + text)[-_HEADING:]
        if len(text) > _LONG_SPACE and text.isspace():
            text = b"\n"
        if self._leaves_newline:
            text = text.removeprefix(b"\n")
        self._leaves_newline = self._leaves_parts = False
        return text

    def _part(self, text: bytes) -> bytes:
        self._in_head = False
        if self._before:  # its beginning
            self._leaves_parts = text.startswith(_COMMENT)
            self._before = b""
        return b"" if self._leaves_parts else text

    def _statement(self, piece: Piece) -> bytes:
        text = piece.text
        begins_line, ends_line = self._before.endswith(b"\n"), piece.following.startswith(b"\n")
        in_head = self._in_head = self._in_head and bool(_HEAD.match(text))
        if piece.has_no_rows and text.startswith(self._closed):
            self._leaves_rows = True
            self._before = b""
            return b""
        heading, self._before = self._before, b""
        if not (begins_line and ends_line):
            return text
        if in_head and text == _NO_PATH and self._search_path:
            return _NO_PATH.replace(b"''", literal(self._search_path).encode())
        if self._is_left_out(text, heading, in_head):
            self._leaves_newline = True
            return b""
        return text

    def _is_left_out(self, text: bytes, heading: bytes, in_head: bool) -> bool:
        if in_head:
            return text == _TRANSACTION_TIMEOUT and not self._transaction_timeout
        if text.startswith(_COMMENT) or (self._one_transaction and text in _TRANSACTION):
            return True
        if schema := _SCHEMA.match(text):
            return _name(schema[1]) in self._schemas
        public = _PUBLIC.match(text)
        if public and not self._public_seen and _PUBLIC_HEADING.search(heading):
            self._public_seen = True
            return _name(public[1]) not in self._roles
        return False

    def _is_dumps_own(self, line: bytes) -> bool:
        """Given a command of psql, return whether it is one of the two between which `pg_dump` puts its dump."""
        if self._token is None and (found := _RESTRICT.match(line)):
            self._token = found[1]
            return True
        return self._token is not None and line == b"\\unrestrict " + self._token + b"\n"


def _name(quoted: bytes) -> str:
    """Given a name as `pg_dump` writes it, return the name."""
    text = quoted.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
