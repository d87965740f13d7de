"""The objects of a fixture, one after the other: memory stays at the size of one object and one chunk."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Callable, Iterable, Iterator  # noqa: UP035  Python 3.8

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_LONGEST_TOKEN = 32
"""Characters: a number or a literal that is cut off by the end of a chunk is reported this close to the end."""
_MORE = 65536
"""Characters that are read at least when an object is cut off by the end of a chunk."""
_BLOCK = 1 << 19
"""Characters that are offered at once to what takes objects by itself."""
LONGEST_OBJECT = 1 << 28
"""Characters: a row with a picture of 190 MB in it. Without an end, a small archive would fill the memory."""


class FixtureError(Exception):
    """A member is not a JSON list of objects, or holds something that does not belong there."""


def objects(
    chunks: Iterable[bytes], longest: int = LONGEST_OBJECT, bulk: Callable[[str, int], int | None] | None = None
) -> Iterator[dict[str, Any]]:
    """Given the bytes of a JSON list in chunks of any size, yield its objects.

    Any layout is accepted: indented, on one line, empty, with a byte order mark.

    :param longest: characters that one object may have
    :param bulk: called with text and the place in it where an object begins; returns where the next one begins, or the
        list ends: what lies between is not yielded. None: it takes nothing here, whatever follows
    :raises FixtureError: something else than a list of objects, or a longer one
    """
    reader = _Reader(chunks, longest)
    try:
        if reader.take() != "[":
            raise FixtureError("not a JSON list")
        following = reader.peek()
        while following != "]":
            if following != "{":
                raise FixtureError("an element of the list is not an object")
            if bulk and reader.offer(bulk):
                following = reader.peek()
                continue
            yield reader.value()
            separator = reader.take()
            if separator == "]":
                break
            if separator != ",":
                raise FixtureError("the list ends early")
            following = reader.peek() if reader.peek() == "{" else ""
        else:
            reader.take()
        if reader.peek():
            raise FixtureError("something follows the list")
    except UnicodeDecodeError:
        raise FixtureError("not valid UTF-8") from None
    except RecursionError:
        raise FixtureError("nested too deeply") from None


class _Reader:
    """A window that moves over the text."""

    def __init__(self, chunks: Iterable[bytes], longest: int) -> None:
        self.chunks = iter(chunks)
        self.longest = longest
        self.decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self.text = ""
        self.position = 0
        self.finished = False

    def refill(self, wanted: int) -> None:
        """Drop what has been used; read until this many characters are there, or the end."""
        parts, size = [self.text[self.position :]], len(self.text) - self.position
        while size < wanted and not self.finished:
            chunk = next(self.chunks, None)
            self.finished = chunk is None
            parts.append(self.decode(chunk or b"", self.finished))
            size += len(parts[-1])
        self.text, self.position = "".join(parts), 0

    def peek(self) -> str:
        """Skip white space; return the next character, or nothing at the end."""
        while True:
            match = _SPACE.match(self.text, self.position)
            self.position = match.end() if match else self.position
            if self.position < len(self.text) or self.finished:
                return self.text[self.position : self.position + 1]
            self.refill(1)

    def take(self) -> str:
        """Like peek, and go on to what follows."""
        found = self.peek()
        self.position += 1
        return found

    def offer(self, bulk: Callable[[str, int], int | None]) -> bool:
        """Given what takes objects by itself, offer it the text from here on; return whether it took some."""
        took = False
        while True:
            end = bulk(self.text, self.position)
            if end is None or (end == self.position and (self.finished or len(self.text) - end >= _BLOCK)):
                return took
            took = took or end > self.position
            self.position = end
            self.refill(_BLOCK)

    def value(self) -> dict[str, Any]:
        """Return the object that starts here."""
        while True:
            try:
                value, self.position = _DECODER.raw_decode(self.text, self.position)
            except json.JSONDecodeError as error:
                close = error.pos >= len(self.text.rstrip()) - _LONGEST_TOKEN
                if self.finished or not (close or error.msg.startswith("Unterminated")):
                    raise FixtureError(f"not valid JSON: {error.msg}") from None
                there = len(self.text) - self.position
                if there >= self.longest:
                    raise FixtureError(f"an object is longer than {self.longest:,} characters") from None
                self.refill(min(2 * max(there, _MORE // 2), self.longest))
            except ValueError:  # Python refuses to read more than some thousands of digits
                raise FixtureError("a number is too long") from None
            else:
                found: dict[str, Any] = value
                return found
