"""A digest of a fixture that is the same before and after a restore.

Django's JSON cuts microseconds to milliseconds, and writes no fraction for a whole second. So 12:00:00.000400 is dumped
as "12:00:00.000", loaded as 12:00:00, and dumped again as "12:00:00": the same data as far as a fixture can tell, in
other bytes. One time stamp in a thousand is of this kind. Here both count as the second one.

Rows that a view shows are rows of other tables, as they are or as they were when the view was refreshed: they are
loaded into nothing, and can be left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

# A pattern that begins with plain text is looked for ten times as fast.
_NO_FRACTION = re.compile(rb'\.000(?<=\d\d:\d\d:\d\d\.000)(?=Z?")')
_REACH = len('12:00:00.000Z"')
"""Bytes: what is looked for is not longer, and may be cut by the end of a piece."""


class FixtureDigest:
    """SHA-256 over a fixture that comes in pieces of any size. It can stand where a member is written."""

    def __init__(self, without: Collection[str] = ()) -> None:
        """:param without: labels of models whose objects are left out"""
        self._filter = _Without(without) if without else None
        self._hash = hashlib.sha256()
        self._tail = b""

    def write(self, data: bytes) -> int:
        """Take these bytes; return how many they were."""
        kept = self._filter.feed(data) if self._filter else data
        text = _NO_FRACTION.sub(b"", self._tail + kept)
        self._hash.update(text[:-_REACH])
        self._tail = text[-_REACH:]
        return len(data)

    def close(self) -> None:
        """That was all."""
        self._hash.update(self._tail)
        self._tail = b""

    def abort(self) -> None:
        """What was written is worth nothing, and equal to no other fixture."""
        self._hash.update(self._tail + b"\0")
        self._tail = b""

    def hexdigest(self) -> str:
        """Return the digest (hex) of what was written before `close`."""
        return self._hash.hexdigest()


class _Without:
    """Leaves out the objects of some models. A fixture of ours has a line for each key, and one for each brace."""

    def __init__(self, labels: Collection[str]) -> None:
        self._first_lines = {b'    "model": "%s",' % label.encode() for label in labels}
        self._rest = b""
        self._begun = self._skipping = False

    def feed(self, data: bytes) -> bytes:
        """Given the next bytes, return what is kept of the lines that are whole by now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        kept = []
        for line in lines:
            if line == b"{":
                self._begun = True  # the next line says whose it is
                continue
            if self._begun:
                self._skipping = line in self._first_lines
                self._begun = False
            if not self._skipping:
                # The comma says whether another object follows, which may be left out.
                kept.append(b"}" if line == b"}," else line)
            elif line in (b"}", b"},"):
                self._skipping = False
        return b"".join(line + b"\n" for line in kept)
