"""The fast way: objects become rows of COPY by one regular expression; no Python code runs for a single value.

The first object of each shape goes through Django, and shows which fields there are. Those that follow are taken from
the text, as many as the expression matches, and copied. Where that fails, because a row exists already, a key is not
known yet, or PostgreSQL refuses a value, the same objects go through Django, which knows what to do or says what is
wrong.
"""

from __future__ import annotations

import re
from typing import Any, Callable  # noqa: UP035  Python 3.8

from .columns import NotEligibleError
from .copyin import copy_in
from .registry import ALIAS
from .shape import Shape, Shapes
from .tokens import from_text

_ESCAPED = re.compile(r'\\[^"\\]')
"""What JSON escapes and COPY does not know; found too often, where an escaped backslash comes before a letter."""
_SHAPES = 500
"""Shapes that are remembered: a hostile fixture may have as many as objects."""


class Bulk:
    """Takes objects out of a fixture's text."""

    def __init__(
        self,
        connection: Any,
        before: Callable[[Any], object],
        loaded: Callable[[Any, int], object],
        otherwise: Callable[[str], object],
    ) -> None:
        """:param before: called with a model before its objects are copied
        :param loaded: called with a model and how many objects of it have been
        :param otherwise: called with the text of objects that Django must load, a list without its brackets
        """
        self.connection = connection
        self.before, self.loaded, self.otherwise = before, loaded, otherwise
        self.shapes = Shapes(connection)
        self.known: dict[tuple[Any, ...], Shape | None] = {}
        self.current: Shape | None = None

    def learn(self, model: Any, found: dict[str, Any]) -> None:
        """Given an object that goes through Django, take those that follow and have its shape, if they can be."""
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
        self._copy(shape, text[position:end], rows)
        return end

    def _copy(self, shape: Shape, source: str, rows: list[tuple[str, ...]]) -> None:
        """Given objects as text, and the values in it, copy them, or let Django load them."""
        from django.db import DatabaseError, transaction

        self.before(shape.model)
        try:
            with transaction.atomic(using=ALIAS):
                values = _converted(shape, rows, escaped=bool(_ESCAPED.search(source)))
                columns = [values[place] for place in shape.columns]
                lines = map(",".join, zip(*columns))  # noqa: B905  Python 3.8
                copy_in(self.connection, shape.statement, "\n".join(lines) + "\n")
                for many in shape.lists:
                    pairs = [
                        f"{key},{target}\n"
                        for key, listed in zip(values[0], values[many.place])  # noqa: B905  Python 3.8
                        if listed != "[]"
                        for target in dict.fromkeys(many.keys_of(listed))
                    ]
                    if pairs:
                        copy_in(self.connection, many.statement, "".join(pairs))
        except (DatabaseError, _ConversionError, ValueError):
            self.otherwise(source.rstrip().rstrip(","))
        else:
            self.loaded(shape.model, len(rows))


class _ConversionError(Exception):
    """Django does not know what to do with a value, or does not know yet."""


def _converted(shape: Shape, rows: list[tuple[str, ...]], escaped: bool) -> list[Any]:
    """Given the values of objects, return them as COPY reads them, by place.

    :param escaped: whether some strings hold escapes of JSON that COPY does not know
    :raises _ConversionError: one cannot be
    """
    values: list[Any] = list(zip(*rows))  # noqa: B905  Python 3.8
    changes = list(shape.converts)
    if escaped:
        changes += [(place, _unescaped) for place in shape.texts]
    for place, change in changes:
        known = {"null": "null"}
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
