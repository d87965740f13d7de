"""A digest of a fixture that is the same before and after a restore.

Django's JSON cuts microseconds to milliseconds, and writes no fraction for a whole second. So 12:00:00.000400 is dumped
as "12:00:00.000", loaded as 12:00:00, and dumped again as "12:00:00": the same data as far as a fixture can tell, in
other bytes. One time stamp in a thousand is of this kind. Here both count as the second one.
"""

from __future__ import annotations

import hashlib
import re

_NO_FRACTION = re.compile(rb'(\d\d:\d\d:\d\d)\.000(?=Z?")')
_REACH = len('12:00:00.000Z"')
"""Bytes: what is looked for is not longer, and may be cut by the end of a piece."""


class FixtureDigest:
    """SHA-256 over a fixture that comes in pieces of any size. It can stand where a member is written."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._tail = b""

    def write(self, data: bytes) -> int:
        """Take these bytes; return how many they were."""
        text = _NO_FRACTION.sub(rb"\1", self._tail + data)
        self._hash.update(text[:-_REACH])
        self._tail = text[-_REACH:]
        return len(data)

    def close(self) -> None:
        """That was all."""
        self._hash.update(self._tail)
        self._tail = b""

    def hexdigest(self) -> str:
        """Return the digest (hex) of what was written before `close`."""
        return self._hash.hexdigest()
