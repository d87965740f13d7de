"""Which models PostgreSQL can load by itself, and how their objects are taken apart: the mirror image of `plan`.

A shape is a model with the names of the fields that its objects have, in order. One regular expression for each shape
finds the values between the names: whatever it does not match is not loaded this way.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Callable, Pattern  # noqa: UP035  Python 3.8

from .columns import ColumnTypes, NotEligibleError, require_own_class
from .eligibility import check_field_on_load, check_model_on_load, check_operations, check_table_on_load
from .registry import ALIAS, auto_many_to_many, is_natural
from .tokens import KEYS, SPACE, STRING, Token, from_text, token

_FORMAT = "WITH (FORMAT csv, NULL 'null', QUOTE '\"', ESCAPE E'\\\\', ENCODING 'UTF8')"
_LIST = rf"\[{SPACE}(?:{{0}}{SPACE}(?:,{SPACE}{{0}}{SPACE})*)?\]"
_NATURAL_KEY = _LIST.format(STRING)


@dataclass(frozen=True)
class Many:
    """One many-to-many field of a shape."""

    place: int
    """Of its list among the values of an object."""
    statement: str
    """The COPY statement of its table: (source, target)."""
    keys_of: Callable[[str], list[str]]
    """Given the list as JSON, the keys as COPY reads them."""


@dataclass(frozen=True)
class Shape:
    """How objects of one shape are loaded."""

    model: Any
    statement: str
    """The COPY statement of the model's table."""
    one: Pattern[str]
    """Matches one object, to where the next one begins or the list ends. Its groups are the values."""
    many: Pattern[str]
    """The same, or all that is left, in one more group."""
    columns: tuple[int, ...]
    """Places of the values that COPY takes, in its order; the primary key is the first."""
    texts: tuple[int, ...]
    """Places of values in which JSON may have escaped something."""
    converts: tuple[tuple[int, Callable[[str], str]], ...]
    """Places of values that COPY takes in another form."""
    lists: tuple[Many, ...]
    asks: bool
    """Whether keys are looked up in the database."""


class Shapes:
    """Makes shapes: `shape(model, names)` returns one, or raises NotEligibleError."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.quote = connection.ops.quote_name
        self.types = ColumnTypes(connection)

    def shape(self, model: Any, names: tuple[str, ...]) -> Shape:
        """Given a model and the names of its objects' fields, return how these are loaded.

        :raises NotEligibleError: Django must load them; says why
        """
        check_operations(self.connection)
        check_model_on_load(model)
        check_table_on_load(self.connection, model)
        meta = model._meta
        fields = [meta.get_field(name) for name in names]
        concrete = [field for field in meta.local_concrete_fields if not getattr(field, "generated", False)]
        if {meta.pk, *fields} - set(meta.local_many_to_many) != set(concrete) or meta.pk in fields:
            raise NotEligibleError(f"{meta.label} has other fields")
        parts = [
            rf'\{{{SPACE}"model"{SPACE}:{SPACE}{re.escape(json.dumps(meta.label_lower))}{SPACE},{SPACE}"pk"{SPACE}:{SPACE}'
            f'({self._token(meta.pk).pattern}){SPACE},{SPACE}"fields"{SPACE}:{SPACE}\\{{{SPACE}'
        ]
        columns, texts, converts, lists = [0], [], [], []
        for place, field in enumerate([meta.pk, *fields]):
            if field in meta.local_many_to_many:
                many, pattern = self._many(field, place)
                lists.append(many)
            else:
                found = self._token(field)
                pattern = f"{found.pattern}|null" if found.has_null else found.pattern
                if place:
                    columns.append(place)
                texts += [place] if found.is_text else []
                converts += [(place, found.convert)] if found.convert else []
            if place:
                comma = f"{SPACE},{SPACE}" if place > 1 else ""
                parts.append(f"{comma}{re.escape(json.dumps(field.name))}{SPACE}:{SPACE}({pattern})")
        parts.append(rf"{SPACE}\}}{SPACE}\}}{SPACE}(?:,{SPACE}(?=\{{)|(?=\]))")
        pattern = "".join(parts)
        return Shape(
            model, self._statement(model, [field for field in [meta.pk, *fields] if field in concrete]),
            re.compile(pattern), re.compile(f"{pattern}|((?s:.+))"), tuple(columns), tuple(texts), tuple(converts),
            tuple(lists), any(field.remote_field and is_natural(field.remote_field.model) for field in fields),
        )  # fmt: skip

    def _statement(self, model: Any, fields: list[Any]) -> str:
        columns = ", ".join(self.quote(field.column) for field in fields)
        return f"COPY {self.quote(model._meta.db_table)} ({columns}) FROM STDIN {_FORMAT}"

    def _token(self, field: Any) -> Token:
        check_field_on_load(field)
        if field.column is None:
            raise NotEligibleError("a composite primary key" if field.primary_key else f"{field.name} has no column")
        found = token(field, self.types.of(field.model._meta.db_table, field.column)[0])
        if field.remote_field is not None and is_natural(field.remote_field.model):
            return Token(_NATURAL_KEY, _NaturalKey(field))
        return found

    def _many(self, field: Any, place: int) -> tuple[Many, str]:
        """Given a many-to-many field, return how its lists are loaded, and their pattern."""
        require_own_class(field, "ManyToManyField")
        if field not in auto_many_to_many(field.model):
            raise NotEligibleError(f"{field.name} has a table with a model of its own")
        through = field.remote_field.through
        check_table_on_load(self.connection, through)
        source = through._meta.get_field(field.m2m_field_name())
        target = through._meta.get_field(field.m2m_reverse_field_name())
        if not (source.foreign_related_fields[0].primary_key and target.foreign_related_fields[0].primary_key):
            raise NotEligibleError(f"{field.name} refers to something else than primary keys")
        statement = self._statement(through, [source, target])
        found = token(target, self.types.of(through._meta.db_table, target.column)[0])
        if is_natural(field.remote_field.model):
            return Many(place, statement, _NaturalKeys(field)), _LIST.format(_NATURAL_KEY)
        if found not in KEYS:
            raise NotEligibleError(f"{field.name} refers to keys of an unusual type")
        keys = re.compile(found.pattern)

        def keys_of(listed: str) -> list[str]:
            return [from_text(key) if "\\" in key else key for key in keys.findall(listed)]

        return Many(place, statement, keys_of), _LIST.format(found.pattern)


class _NaturalKey:
    """Turns natural keys into keys, by Django's own function, which `lookups` makes cheap."""

    def __init__(self, field: Any) -> None:
        self.field = field

    def __call__(self, found: str) -> str:
        """Given a natural key as JSON, return the key of the row.

        :raises ValueError: there is none yet
        """
        from django.core.serializers import base

        key = base.deserialize_fk_value(self.field, json.loads(found), ALIAS, True)
        if key is base.DEFER_FIELD:
            raise ValueError("a forward reference")
        return str(key)


class _NaturalKeys(_NaturalKey):
    def __call__(self, found: str) -> Any:
        """Given a list of natural keys as JSON, return the keys of the rows.

        :raises ValueError: there is none yet
        """
        from django.core.serializers import base

        keys = base.deserialize_m2m_values(self.field, json.loads(found), ALIAS, True)
        if keys is base.DEFER_FIELD:
            raise ValueError("a forward reference")
        return [str(key) for key in keys]
