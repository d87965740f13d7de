"""Unfolding gzip from outside: streaming, concatenated streams too, and never more in memory than asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..errors import ArchiveError
from ..openpgp.stream import Readable

ANOTHER = "fetch it again, or take another archive"
CHUNK = 256 * 1024
_INPUT = 64 * 1024
_PADDING_LIMIT = 1024 * 1024


class Inflater:
    """The bytes of a gzip file of one or more streams, never more at a time than asked for."""

    def __init__(self, stream: Readable) -> None:
        from zlib_ng import zlib_ng

        self._stream = stream
        self._new: Callable[[], Any] = lambda: zlib_ng.decompressobj(31)
        self._error = cast("type[Exception]", zlib_ng.error)
        self._decompressor = self._new()
        self._input = b""
        self._inside = False  # a gzip stream has begun and not ended

    def some(self, size: int) -> bytes:
        """Return 1 to `size` bytes.

        :raises ArchiveError: damaged or cut short
        """
        data = self._inflate(size)
        if not data:
            raise ArchiveError("the archive is cut short", ANOTHER)
        return data

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes (a small number).

        :raises ArchiveError: damaged or cut short
        """
        data = bytearray()
        while len(data) < size:
            data += self.some(size - len(data))
        return bytes(data)

    def skip_zeros(self, size: int) -> None:
        """Skip so many bytes of padding.

        :raises ArchiveError: they are not zeros, damaged or cut short
        """
        if size and any(self.exactly(size)):
            raise ArchiveError("the archive's tar is damaged: its padding is not empty", ANOTHER)

    def expect_end(self) -> None:
        """Read up to the end of the file, where only a little padding may come.

        :raises ArchiveError: something else comes, damaged or cut short
        """
        padding = 0
        while data := self._inflate(CHUNK):
            padding += len(data)
            if any(data) or padding > _PADDING_LIMIT:
                raise ArchiveError("the archive has something behind its end", ANOTHER)

    def _inflate(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or none at the end of the file, which must be the end of a gzip stream."""
        while True:
            if self._inside:
                try:
                    data: bytes = self._decompressor.decompress(self._input, size)
                except self._error:
                    raise ArchiveError("the archive is damaged: its gzip stream is wrong", ANOTHER) from None
                self._input = self._decompressor.unconsumed_tail
                if self._decompressor.eof:
                    self._input = self._decompressor.unused_data
                    self._decompressor = self._new()
                    self._inside = False
                if data:
                    return data
                if self._input:
                    continue
            if not self._input:
                self._input = self._stream.read(_INPUT)
            if not self._input:
                if self._inside:
                    raise ArchiveError("the archive is cut short", ANOTHER)
                return b""
            self._inside = True
