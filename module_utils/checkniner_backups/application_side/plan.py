"""Which models PostgreSQL can serialise by itself, and with which SQL.

A model is plain if what `dumpdata` writes for it follows from its columns alone. One query then yields the values as
JSON, one column each; the names between them are the same in every row and are added by `dump`. Whatever is not
known to be plain is left to Django: the list of what is known is here and in `columns`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .columns import ColumnTypes, NotPlainError, require_own_class, scalar
from .plainness import check_base_manager, check_default_manager, check_descriptor, check_model
from .registry import NATURAL_PRIMARY

NEWLINE = "\x01"
"""Stands for a newline inside a value: JSON text never holds it, and COPY does not escape it."""
DELIMITER = "\x02"
"""Between two values, for the same reason."""
SAMPLE = 10
"""Rows from each of start, end and middle that are also serialised by Django before SQL is believed."""


@dataclass(frozen=True)
class Plan:
    """How a plain model is read: `constants[0] value constants[1] value ... constants[-1]` makes one object."""

    copy: str
    """The COPY statement that yields all rows."""
    copy_sample: str
    """The same for a few rows."""
    sample: str
    """The primary keys of these rows, as a sub-select."""
    odd_row: str
    """A query that finds a row that SQL would write differently; empty when there can be none."""
    constants: tuple[bytes, ...]


def _sample(table: str, column: str, integers: bool) -> str:
    """Given a table and its primary key, return a sub-select of keys from its start, its end and its middle."""
    select = f"(SELECT {column} FROM {table}"
    limit = f" LIMIT {SAMPLE})"
    parts = [f"{select} ORDER BY {column}{limit}", f"{select} ORDER BY {column} DESC{limit}"]
    if integers:
        middle = f"(SELECT min({column}) / 2 + max({column}) / 2 FROM {table})"
        parts.append(f"{select} WHERE {column} >= {middle} ORDER BY {column}{limit}")
    return " UNION ".join(parts)


def literal(text: str) -> str:
    """Given text, return it as an SQL string that no setting can change the meaning of."""
    escaped = "".join(c if c >= " " and c not in "'\\" else f"\\x{ord(c):02x}" for c in text)
    return f"E'{escaped}'"


class _Joins:
    """The tables of one SELECT, each with an alias of its own; a foreign key joins its table once."""

    def __init__(self, planner: Planner, table: str, alias: str) -> None:
        self.planner = planner
        self.aliases: dict[tuple[str, str], str] = {}
        self.sql = f"{planner.quote(table)} {alias}"
        self.first = alias

    def column(self, alias: str, field: Any) -> str:
        return f"{alias}.{self.planner.quote(field.column)}"

    def join(self, alias: str, field: Any) -> str:
        """Given a foreign key, return the alias of the table that it refers to."""
        key = (alias, field.column)
        if key not in self.aliases:
            require_own_class(field, "ForeignKey", "OneToOneField")
            if not field.db_constraint:
                raise NotPlainError(f"{field.name} has no constraint in the database")
            target = field.foreign_related_fields[0]
            if target not in field.remote_field.model._meta.concrete_model._meta.local_fields:
                raise NotPlainError(f"{field.name} refers to a parent's table")
            self.aliases[key] = new = f"{self.first[0]}{len(self.aliases) + 1}"
            self.sql += f" LEFT JOIN {self.planner.quote(target.model._meta.db_table)} {new} ON {self.column(new, target)} = {self.column(alias, field)}"
        return self.aliases[key]


class Planner:
    """Makes the plans of one dump: `plan(model)` returns one, or raises NotPlainError."""

    def __init__(self, connection: Any) -> None:
        from django.conf import settings
        from django.core.serializers import get_serializer
        from django.core.serializers.json import Serializer

        self.connection = connection
        self.quote = connection.ops.quote_name
        self.types = ColumnTypes(connection)
        self.refused = ""
        if connection.vendor != "postgresql":
            self.refused = "the database is not PostgreSQL"
        elif get_serializer("json") is not Serializer:
            self.refused = "the application has a JSON serializer of its own"
        elif settings.USE_TZ and connection.timezone_name != "UTC":
            self.refused = "the connection has a time zone of its own"
        else:
            with connection.cursor() as cursor:
                cursor.execute("SHOW server_encoding")
                if cursor.fetchone()[0] == "SQL_ASCII":
                    self.refused = "the database has no encoding"
        self.zone = "Z" if settings.USE_TZ else ""

    def plan(self, model: Any) -> Plan:
        """Given a model, return how PostgreSQL serialises it.

        :raises NotPlainError: it must be left to Django; says why
        """
        if self.refused:
            raise NotPlainError(self.refused)
        meta = model._meta
        check_model(model)
        check_base_manager(model)
        if self.types.relation_kind(meta.db_table) not in ("r", "p", "m", "v"):
            raise NotPlainError("its table is not there")
        if "%" in "".join([meta.db_table] + [field.column for field in meta.local_concrete_fields]):
            raise NotPlainError("a percent sign in a name")
        joins = _Joins(self, meta.db_table, "t0")
        values: list[str] = []
        unless: list[str] = []
        constants = [f'{{\x01    "model": {json.dumps(str(meta))}']

        def add(before: str, expression: str) -> None:
            constants[-1] += before
            constants.append("")
            values.append(expression)

        key = joins.column("t0", meta.pk)
        order = key
        if meta.pk.remote_field and meta.pk.remote_field.model._meta.ordering:
            raise NotPlainError("its primary key refers to a model that has an order of its own")
        key_value = self._scalar(joins, "t0", meta.pk)
        sample = _sample(self.quote(meta.db_table), self.quote(meta.pk.column), key_value.json == key)
        if meta.label in NATURAL_PRIMARY:
            natural = self._natural_columns(model, joins, "t0")
            # By natural key, so that two databases can be compared; Django would follow the accidental ids.
            order = ", ".join(f'{column} COLLATE "C"' for column in natural[1:] + natural[:1])
            if meta.label == "contenttypes.ContentType":
                order = ", ".join(f'{column} COLLATE "C"' for column in natural)
        else:
            add(',\x01    "pk": ', key_value.json)
            unless.append(key_value.unless)
        constants[-1] += ',\x01    "fields": {'
        many = sampled_many = separator = ""
        for field in meta.local_fields:
            if not field.serialize:
                continue
            before = f"{separator}\x01        {json.dumps(field.name)}: "
            if field.remote_field is not None and hasattr(field.remote_field.model, "natural_key"):
                add(before, self._natural_key(field, joins))
            else:
                value = self._scalar(joins, "t0", field)
                add(before, value.json)
                unless.append(value.unless)
            separator = ","
        for number, field in enumerate(meta.local_many_to_many):
            through = getattr(getattr(field.remote_field, "through", None), "_meta", None)
            if not field.serialize or (through is not None and not through.auto_created):
                continue
            before = f"{separator}\x01        {json.dumps(field.name)}: "
            alias = f"m{number}"
            join = f" LEFT JOIN ({{}}) {alias} ON {alias}.source = {key}"
            many += join.format(self._many(field, ""))
            sampled_many += join.format(self._many(field, sample))
            add(before, f"coalesce({alias}.list, '[]')")
            separator = ","
        constants[-1] += ("\x01    }" if separator else "}") + "\x01}"
        if not values:
            raise NotPlainError("nothing of it is serialised")
        odd = " OR ".join(condition for condition in unless if condition)
        select = "COPY (SELECT {} FROM {}".format(", ".join(values), joins.sql)
        options = f" ORDER BY {order}) TO STDOUT WITH (DELIMITER {literal(DELIMITER)}, NULL 'null', ENCODING 'UTF8')"
        return Plan(
            copy=select + many + options,
            copy_sample=f"{select}{sampled_many} WHERE {key} IN ({sample}){options}",
            sample=sample,
            odd_row=f"SELECT 1 FROM {self.quote(meta.db_table)} t0 WHERE {odd} LIMIT 1" if odd else "",
            constants=tuple(constant.replace(NEWLINE, "\n").encode() for constant in constants),
        )

    def _scalar(self, joins: _Joins, alias: str, field: Any) -> Any:
        check_descriptor(field)
        real_type = self.types.of(field.model._meta.db_table, field.column)
        return scalar(field, joins.column(alias, field), real_type, self.zone)

    def _natural_key(self, field: Any, joins: _Joins) -> str:
        """Given a foreign key to a model with natural keys, return the SQL of the list that stands for it."""
        columns = self._natural_columns(field.remote_field.model, joins, joins.join("t0", field))
        return _list([f"to_json({column})::text" for column in columns], 12)

    def _natural_columns(self, model: Any, joins: _Joins, alias: str) -> list[str]:
        """Given a model whose natural key is one of Django's own, return its columns in SQL.

        :raises NotPlainError: its natural key is somebody else's
        """
        from django.contrib.auth.base_user import AbstractBaseUser

        concrete = model._meta.concrete_model
        check_model(concrete)
        check_base_manager(model)
        label = concrete._meta.label
        if model.natural_key is AbstractBaseUser.natural_key:
            if model.get_username is not AbstractBaseUser.get_username:
                raise NotPlainError(f"{label} has a get_username of its own")
            names = [model.USERNAME_FIELD]
        elif concrete.__module__ == "django.contrib.contenttypes.models" and label == "contenttypes.ContentType":
            names = ["app_label", "model"]
        elif concrete.__module__ == "django.contrib.auth.models" and label in ("auth.Group", "auth.Permission"):
            names = ["name" if label == "auth.Group" else "codename"]
        else:
            raise NotPlainError(f"{label} has a natural key of its own")
        if model.natural_key is not concrete.natural_key:
            raise NotPlainError(f"{model._meta.label} has a natural key of its own")
        columns = []
        for name in names:
            field = concrete._meta.get_field(name)
            if field not in concrete._meta.local_fields or field.remote_field is not None:
                raise NotPlainError(f"the natural key of {label} is in another table")
            value = self._scalar(joins, alias, field)
            column = joins.column(alias, field)
            if value.json != f"to_json({column})":
                raise NotPlainError(f"the natural key of {label} is not text")
            columns.append(column)
        if label == "auth.Permission":
            content_type = concrete._meta.get_field("content_type")
            alias = joins.join(alias, content_type)
            columns += self._natural_columns(content_type.remote_field.model, joins, alias)
        return columns

    def _many(self, field: Any, only: str) -> str:
        """Given a many-to-many field, return a SELECT of (source, list): one row for each object that has some.

        :param only: a sub-select of the objects that matter, or nothing
        """
        require_own_class(field, "ManyToManyField")
        model = field.remote_field.model
        concrete = model._meta.concrete_model
        check_model(concrete)
        check_default_manager(model)
        through = field.remote_field.through
        source = through._meta.get_field(field.m2m_field_name())
        target = through._meta.get_field(field.m2m_reverse_field_name())
        if not (source.foreign_related_fields[0].primary_key and target.foreign_related_fields[0].primary_key):
            raise NotPlainError(f"{field.name} refers to something else than primary keys")
        joins = _Joins(self, through._meta.db_table, "r0")
        alias = joins.join("r0", target)
        if hasattr(model, "natural_key"):
            item = _list([f"to_json({c})::text" for c in self._natural_columns(model, joins, alias)], 16)
        else:
            value = self._scalar(joins, alias, concrete._meta.pk)
            if value.unless:
                raise NotPlainError(f"{field.name} refers to keys of an unusual type")
            item = f"({value.json})::text"
        order = [self._order(concrete, name, joins, alias) for name in [*model._meta.ordering, "pk"]]
        gathered = "string_agg({}, {} ORDER BY {})".format(item, literal(",\x01" + " " * 12), ", ".join(order))
        column = joins.column("r0", source)
        return "SELECT {0} AS source, {1} || {2} || {3} AS list FROM {4} WHERE {5} IS NOT NULL{6} GROUP BY {0}".format(
            column, literal("[\x01" + " " * 12), gathered, literal("\x01" + " " * 8 + "]"), joins.sql,
            joins.column(alias, concrete._meta.pk), f" AND {column} IN ({only})" if only else "",
        )  # fmt: skip

    def _order(self, model: Any, name: Any, joins: _Joins, alias: str) -> str:
        """Given a part of Meta.ordering, return it in SQL."""
        if not isinstance(name, str) or name == "?":
            raise NotPlainError(f"{model._meta.label} is ordered by an expression")
        direction = " DESC" if name.startswith("-") else ""
        path = name.lstrip("-").split("__")
        for step in path[:-1]:
            field = model._meta.get_field(step)
            if field.remote_field is None or field not in model._meta.local_fields:
                raise NotPlainError(f"{model._meta.label} is ordered by {name}")
            alias = joins.join(alias, field)
            model = field.remote_field.model._meta.concrete_model
        field = model._meta.pk if path[-1] == "pk" else model._meta.get_field(path[-1])
        if field.remote_field is not None or field not in model._meta.local_fields:
            raise NotPlainError(f"{model._meta.label} is ordered by {name}")
        return joins.column(alias, field) + direction


def _list(items: list[str], indent: int) -> str:
    """Given the items of a list in SQL, return it as json.dumps(indent=4) lays it out; NULL if an item is."""
    between = " || {} || ".format(literal(",\x01" + " " * indent))
    closing = literal("\x01" + " " * (indent - 4) + "]")
    return "{} || {} || {}".format(literal("[\x01" + " " * indent), between.join(items), closing)
