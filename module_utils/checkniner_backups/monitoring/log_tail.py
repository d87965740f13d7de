"""The end of a run's log, kept in memory while the run goes on."""

from __future__ import annotations

import logging
from collections import deque

BYTES = 10_000
"""What Healthchecks keeps of a body."""


class LogTail(logging.Handler):
    """Keeps the last lines of what is logged, at most `limit` bytes of UTF-8."""

    def __init__(self, limit: int = BYTES) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        line = self.format(record).encode(errors="replace") + b"\n"
        self._lines.append(line)
        self._size += len(line)
        while len(self._lines) > 1 and self._size - len(self._lines[0]) >= self._limit:
            self._size -= len(self._lines.popleft())

    def text(self) -> str:
        """Return what is kept. It may be a little longer than the limit: what is sent is cut after secrets are out."""
        return b"".join(self._lines).decode(errors="replace")
