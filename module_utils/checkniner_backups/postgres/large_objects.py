"""Large objects: data that stands in no table, so that no table's digest covers it.

The server reads each of them in pieces and hashes them itself, so that little travels. Whoever may not read one cannot
make a dump either: `pg_dump` reads them with the same right.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from .copying import copy_out
from .digest import TableDigest
from .session import fetch_one

if TYPE_CHECKING:
    from .session import Connection

OID = 2613
"""Of `pg_largeobject`, on every server: what stands for all of them among tables' OIDs."""
NAME = "large objects"
"""What stands for them among tables' names, which have a schema."""

_ANY = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)"
# A bytea has an end, a large object has one much later: pieces of 8 MiB, the last one shorter, perhaps empty. What was
# never written reads as zeros.
_PIECES = """
COPY (
    SELECT m.oid, piece.start, piece.length, piece.sha256
    FROM pg_catalog.pg_largeobject_metadata m, LATERAL (
        WITH RECURSIVE pieces (start, length, sha256) AS (
            SELECT 0::pg_catalog.int8, pg_catalog.octet_length(data), pg_catalog.sha256(data)
            FROM (SELECT pg_catalog.lo_get(m.oid, 0, 8388608) AS data) AS first
            UNION ALL
            SELECT next.start, pg_catalog.octet_length(next.data), pg_catalog.sha256(next.data)
            FROM (
                SELECT p.start + 8388608 AS start, pg_catalog.lo_get(m.oid, p.start + 8388608, 8388608) AS data
                FROM pieces p WHERE p.length = 8388608
            ) AS next
        )
        SELECT start, length, sha256 FROM pieces
    ) AS piece
    ORDER BY m.oid, piece.start
) TO STDOUT
"""
NONE = TableDigest(0, hashlib.sha256().hexdigest())


def digest_large_objects(connection: Connection) -> TableDigest:
    """Return how many large objects there are, and a digest of their numbers, lengths and content, as this
    transaction sees them.

    The digest is that of one line for each piece of 8 MiB, by number and place: number, place, length, SHA-256.
    """
    from psycopg import sql

    if not fetch_one(connection, _ANY)[0]:
        return NONE
    counter = _Counter()
    copy_out(connection, sql.Composed([sql.SQL(_PIECES)]), counter.take)
    return TableDigest(counter.objects, counter.digest.hexdigest())


def for_manifest(digest: TableDigest) -> dict[str, Any]:
    """Given that digest, return it as it stands in the manifest."""
    return {"count": digest.rows, "sha256": digest.sha256}


class _Counter:
    """Hashes lines, and counts those that begin an object."""

    def __init__(self) -> None:
        self.objects = 0
        self.digest = hashlib.sha256()
        self._rest = b""

    def take(self, block: Any) -> None:
        self.digest.update(block)
        *lines, self._rest = (self._rest + bytes(block)).split(b"\n")
        self.objects += sum(line.split(b"\t", 2)[1] == b"0" for line in lines)
