"""How the command line speaks: JSON for programs, a progress line on a terminal."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

from ..system.text import human_size


def say(text: str) -> None:
    """Given a line or several, write them to standard output now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def as_json(value: object) -> str:
    """Given a dataclass or what JSON can express, return JSON."""

    def plain(item: object) -> Any:
        return asdict(item) if is_dataclass(item) and not isinstance(item, type) else str(item)

    return json.dumps(value, default=plain, indent=1, sort_keys=True)


class Progress:
    """A line that shows how far long work is, several times a second, on a terminal only."""

    def __init__(self, label: str, total: int = 0, stream: TextIO = sys.stderr) -> None:
        """:param total: bytes; 0 where it is not known"""
        self._label = label
        self._total = total
        self._stream = stream
        self._done = 0
        self._shown = 0.0

    def __call__(self, length: int) -> None:
        """Given how many more bytes are done, show it."""
        self._done += length
        now = time.monotonic()
        if self._stream.isatty() and now - self._shown > 0.2:
            self._shown = now
            share = f" of {human_size(self._total)} ({100 * self._done // self._total} %)" if self._total else ""
            self._stream.write(f"\r{self._label}: {human_size(self._done)}{share} \x1b[K")
            self._stream.flush()

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
