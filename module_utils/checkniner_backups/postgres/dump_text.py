"""What of a plain dump is not sent to `psql`: a few lines at its beginning and its end, written by `pg_dump` itself.

Nothing here protects from hostile content: that is done by privilege (load.py). Without these lines a good dump loads
where a superuser has prepared its extensions, and below a `\\restrict` of our own. Data is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from ..errors import ArchiveError

# An extension that an administrator made belongs to the administrator, and so do its comments.
_COMMENT = re.compile(rb"^COMMENT ON EXTENSION .*;\n", re.MULTILINE)
# Since August 2025 pg_dump puts its dump between these two; psql does not nest them.
_RESTRICT = re.compile(rb"^\\restrict ([A-Za-z0-9]+)\n", re.MULTILINE)
# A pg_dump of 17 or later writes it, whatever server it reads; one before 17 refuses it.
_TRANSACTION_TIMEOUT = b"SET transaction_timeout = 0;\n"
# What pg_dump writes before the first object.
_HEAD_LINE = re.compile(rb"(?:|--.*|\\restrict .*|SET .*;|SELECT pg_catalog\.set_config\(.*\);)\n")
_SCHEMA = re.compile(rb"^CREATE SCHEMA (.+);\n", re.MULTILINE)
# Only what pg_dump writes below its own heading, once, before all functions and strings but a schema's comment.
_PUBLIC = re.compile(
    rb"(^-- Name: public; Type: SCHEMA; Schema: -; Owner: [^\n]*\n--\n(?:--[^\n]*\n|\n)*)"
    rb"ALTER SCHEMA public OWNER TO ([^\n]+);\n",
    re.MULTILINE,
)
_COMPLETE = b"-- PostgreSQL database dump complete"
_HEAD = 1 << 24
"""Bytes within which the first data is expected."""
_TAIL = 1024
"""Bytes that hold the dump's last lines."""


def loadable(
    chunks: Iterable[bytes],
    schemas: Collection[str] = (),
    roles: Collection[str] = (),
    *,
    transaction_timeout: bool = True,
) -> Iterator[bytes]:
    """Given a dump piece by piece, yield it without the lines that would stop a load into a prepared database.

    :param schemas: names of schemas that are there already
    :param roles: whom the one who loads may give the schema `public` to. From others it stays the database's owner's,
        as in every new database; the dump's own GRANTs say who else may use it
    :param transaction_timeout: whether the server has the setting of that name, which came with PostgreSQL 17
    :raises ArchiveError: the dump ends before its end: `pg_dump` had not finished it
    """
    head = b""
    pieces = iter(chunks)
    for chunk in pieces:
        head += chunk
        if b"\nCOPY " in head or len(head) > _HEAD:
            break
    start, copy, data = head.partition(b"\nCOPY ")
    # The newline before the first COPY is the end of the last line before it.
    start = start + b"\n" if copy else start
    if not transaction_timeout:
        start = _without_transaction_timeout(start)
    start = _COMMENT.sub(b"", start)
    start = _SCHEMA.sub(lambda found: b"" if _name(found[1]) in schemas else found[0], start)
    start = _PUBLIC.sub(lambda found: found[0] if _name(found[2]) in roles else found[1], start, count=1)
    token = _RESTRICT.search(start)
    start = _RESTRICT.sub(b"", start, count=1)
    rest = start + copy[1:] + data
    while len(rest) > _TAIL or (chunk := next(pieces, b"")):
        if len(rest) > _TAIL:
            yield rest[:-_TAIL]
            rest = rest[-_TAIL:]
        else:
            rest += chunk
    if _COMPLETE not in rest:
        raise ArchiveError("the SQL in the archive ends before its end", "pg_dump had not finished it; take another")
    if token:
        rest = re.sub(rb"^\\unrestrict " + token[1] + rb"\n", b"", rest, flags=re.MULTILINE)
    yield rest


def _without_transaction_timeout(start: bytes) -> bytes:
    """Given a dump's beginning, return it without that line where it stands before the first object."""
    position = 0
    while line := _HEAD_LINE.match(start, position):
        if line[0] == _TRANSACTION_TIMEOUT:
            return start[:position] + start[line.end() :]
        position = line.end()
    return start


def _name(quoted: bytes) -> str:
    """Given a name as `pg_dump` writes it, return the name."""
    text = quoted.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
