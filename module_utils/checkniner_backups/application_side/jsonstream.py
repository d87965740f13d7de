"""The objects of a fixture, one after the other: memory stays at the size of one object and one chunk."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Iterable, Iterator  # noqa: UP035  Python 3.8

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_LONGEST_TOKEN = 32
"""Characters: a number or a literal that is cut off by the end of a chunk is reported this close to the end."""


class FixtureError(Exception):
    """A member is not a JSON list of objects."""


def objects(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Given the bytes of a JSON list in chunks of any size, yield its objects.

    Any layout is accepted: indented, on one line, empty, with a byte order mark.

    :raises FixtureError: something else than a list of objects
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    source = iter(chunks)
    text, position, finished = "", 0, False
    wanted = 1  # characters; doubled while one object is longer than what has been read

    def refill() -> None:
        nonlocal text, position, finished
        parts, size = [text[position:]], len(text) - position
        while size < wanted and not finished:
            chunk = next(source, None)
            finished = chunk is None
            parts.append(decode(chunk or b"", finished))
            size += len(parts[-1])
        text, position = "".join(parts), 0

    def peek() -> str:
        """Skip white space; return the next character, or nothing at the end."""
        nonlocal position, wanted
        while True:
            match = _SPACE.match(text, position)
            position = match.end() if match else position
            if position < len(text) or finished:
                return text[position : position + 1]
            wanted = 1
            refill()

    try:
        if peek() != "[":
            raise FixtureError("not a JSON list")
        position += 1
        if peek() == "]":
            position += 1
        else:
            while True:
                if peek() != "{":
                    raise FixtureError("an element of the list is not an object")
                try:
                    value, end = _DECODER.raw_decode(text, position)
                except json.JSONDecodeError as error:
                    cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip()) - _LONGEST_TOKEN
                    if finished or not cut:
                        raise FixtureError(f"not valid JSON: {error.msg}") from None
                    wanted = 2 * max(len(text) - position, 32768)
                    refill()
                    continue
                position = end
                yield value
                separator = peek()
                position += 1
                if separator == "]":
                    break
                if separator != ",":
                    raise FixtureError("the list ends early")
        if peek():
            raise FixtureError("something follows the list")
    except UnicodeDecodeError:
        raise FixtureError("not valid UTF-8") from None
    except RecursionError:
        raise FixtureError("nested too deeply") from None
