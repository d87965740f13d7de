"""The fast way: objects become rows of COPY by one regular expression; no Python code runs for a single value.

The first object of each shape goes through Django, and shows which fields there are. Those that follow are taken from
the text, as many as the expression matches, and copied. Where that fails, because a row exists already, a key is not
known yet, or PostgreSQL refuses a value, the same objects go through Django, which knows what to do or says what is
wrong.
"""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Callable, NamedTuple  # noqa: UP035  Python 3.8

from .columns import NotEligibleError
from .copyin import copy_in
from .registry import ALIAS
from .shape import Shape, Shapes
from .tokens import from_text

_ESCAPED = re.compile(r'\\[^"\\]')
"""What JSON escapes and COPY does not know; found too often, where an escaped backslash comes before a letter."""
_SHAPES = 500
"""Shapes that are remembered: a hostile fixture may have as many as objects."""


class _Running(NamedTuple):
    """Objects that PostgreSQL is taking."""

    model: Any
    text: str
    size: int
    done: Future[None]
    savepoint: ExitStack


class Bulk:
    """Takes objects out of a fixture's text. Nothing else may ask the database anything before `wait` was called."""

    def __init__(
        self,
        connection: Any,
        before: Callable[[Any], object],
        loaded: Callable[[Any, int], object],
        otherwise: Callable[[str], object],
    ) -> None:
        """:param before: called with a model before its objects are copied
        :param loaded: called with a model and how many objects of it have been
        :param otherwise: called with a list of objects, as text, that Django must load
        """
        self.connection = connection
        self.before, self.loaded, self.otherwise = before, loaded, otherwise
        self.shapes = Shapes(connection)
        self.known: dict[tuple[Any, ...], Shape | None] = {}
        self.current: Shape | None = None
        self.thread = ThreadPoolExecutor(1)
        self.running: _Running | None = None

    def learn(self, model: Any, found: dict[str, Any]) -> None:
        """Given an object that goes through Django, take those that follow and have its shape, if they can be."""
        self.wait()
        key = (model, *found, *found["fields"])
        if key not in self.known and len(self.known) < _SHAPES:
            try:
                if tuple(found) != ("model", "pk", "fields"):
                    raise NotEligibleError("not as Django writes it")
                self.known[key] = self.shapes.shape(model, tuple(found["fields"]))
            except NotEligibleError:
                self.known[key] = None
        self.current = self.known.get(key)

    def take(self, text: str, position: int) -> int | None:
        """Given text in which an object begins, load what can be; return where the next one begins.

        :returns: None where nothing could be, also with more text
        """
        shape = self.current
        if shape is None:
            return None
        if not shape.one.match(text, position):
            return position
        rows = shape.many.findall(text, position)
        end = len(text) - len(rows[-1][-1])
        if rows[-1][-1]:
            rows.pop()
        self._start(shape, text[position:end], rows)
        return end

    def _start(self, shape: Shape, source: str, rows: list[tuple[str, ...]]) -> None:
        """Given objects as text, and the values in it, let PostgreSQL take them, or Django."""
        from django.db import transaction

        if shape.asks:
            self.wait()
        try:
            copies = _copies(shape, rows, escaped=bool(_ESCAPED.search(source)))
        except (_ConversionError, UnicodeEncodeError):
            self.wait()
            self.otherwise(_listed(source))
            return
        self.wait()
        self.before(shape.model)
        savepoint = ExitStack()
        savepoint.enter_context(transaction.atomic(using=ALIAS))
        cursor = savepoint.enter_context(self.connection.cursor()).cursor  # Django's own is for one thread alone
        done = self.thread.submit(copy_in, cursor, copies)
        self.running = _Running(shape.model, source, len(rows), done, savepoint)

    def wait(self) -> None:
        """Wait until PostgreSQL has taken what it was given; what it refuses, let Django load."""
        from django.db import DatabaseError

        running, self.running = self.running, None
        if running is None:
            return
        try:
            with running.savepoint, self.connection.wrap_database_errors:
                running.done.result()
        except (DatabaseError, ValueError):
            self.otherwise(_listed(running.text))
        else:
            self.loaded(running.model, running.size)


def _listed(text: str) -> str:
    return f"[{text.rstrip().rstrip(',')}]"


class _ConversionError(Exception):
    """Django does not know what to do with a value, or does not know yet."""


def _copies(shape: Shape, rows: list[tuple[str, ...]], escaped: bool) -> list[tuple[str, bytes]]:
    """Given the values of objects, return COPY statements with their rows.

    :param escaped: whether some strings hold escapes of JSON that COPY does not know
    :raises _ConversionError: Django does not know what to do with a value
    :raises UnicodeEncodeError: a string holds half of a surrogate pair
    """
    values = _converted(shape, rows, escaped)
    lines = map(",".join, zip(*[values[place] for place in shape.columns]))  # noqa: B905  Python 3.8
    copies = [(shape.statement, ("\n".join(lines) + "\n").encode())]
    for many in shape.lists:
        pairs = [
            f"{key},{target}\n"
            for key, targets in zip(values[0], values[many.place])  # noqa: B905  Python 3.8
            for target in dict.fromkeys(targets)
        ]
        if pairs:
            copies.append((many.statement, "".join(pairs).encode()))
    return copies


def _converted(shape: Shape, rows: list[tuple[str, ...]], escaped: bool) -> list[Any]:
    """Given the values of objects, return them as COPY reads them, by place.

    :param escaped: whether some strings hold escapes of JSON that COPY does not know
    :raises _ConversionError: one cannot be
    """
    values: list[Any] = list(zip(*rows))  # noqa: B905  Python 3.8
    changes: list[tuple[int, Callable[[str], Any]]] = [(many.place, many.keys_of) for many in shape.lists]
    changes += shape.converts
    if escaped:
        changes += [(place, _unescaped) for place in shape.texts]
    for place, change in changes:
        known: dict[str, Any] = {"null": "null", "[]": ()}
        changed = []
        try:
            for found in values[place]:
                if found not in known:
                    known[found] = change(found)
                changed.append(known[found])
        except Exception as error:
            raise _ConversionError from error
        values[place] = changed
    return values


def _unescaped(found: str) -> str:
    return from_text(found) if "\\" in found else found
