"""Which models PostgreSQL can serialise by itself, and with which SQL.

A model is eligible for the fast path if what `dumpdata` writes for it follows from its columns alone. One query then
yields the values as JSON, one column each; the names between them are the same in every row and are added by `dump`.
Whatever is not known to be eligible is left to Django: the list of what is known is here and in `columns`.
"""

from __future__ import annotations

from typing import Any, Dict  # noqa: UP035  Python 3.8

from .columns import INTEGERS, ColumnTypes, NotEligibleError, Scalar, require_own_class, scalar
from .eligibility import check_default_manager, check_descriptor, check_model
from .registry import NATURAL_PRIMARY, is_natural
from .statement import NEWLINE, Draft, Plan, json_list, literal, sample_of

_NEWLINE = NEWLINE.encode()
_FEW = 20_000
"""Natural keys of a model that are kept in memory, about 200 bytes each."""


class _Joins:
    """The tables of one SELECT, each with an alias of its own; a foreign key joins its table once."""

    def __init__(self, planner: Planner, table: str, alias: str) -> None:
        self.planner = planner
        self.aliases: dict[tuple[str, str], str] = {}
        self.sql = f"{planner.quote(table)} {alias}"
        self.first = alias

    def column(self, alias: str, field: Any) -> str:
        """Given a field of the table with this alias, return its column in SQL.

        :raises NotEligibleError: it has none of its own, but stands for several others
        """
        if field.column is None:
            raise NotEligibleError("a composite primary key" if field.primary_key else f"{field.name} has no column")
        return f"{alias}.{self.planner.quote(field.column)}"

    def join(self, alias: str, field: Any) -> str:
        """Given a foreign key, return the alias of the table that it refers to."""
        key = (alias, field.column)
        if key not in self.aliases:
            target = _target_of(field)
            self.aliases[key] = new = f"{self.first[0]}{len(self.aliases) + 1}"
            table = self.planner.quote(target.model._meta.db_table)
            self.sql += f" LEFT JOIN {table} {new} ON {self.column(new, target)} = {self.column(alias, field)}"
        return self.aliases[key]


def _target_of(field: Any) -> Any:
    """Given a foreign key, return the field that it refers to.

    :raises NotEligibleError: a join would not find what Django finds
    """
    require_own_class(field, "ForeignKey", "OneToOneField")
    if not field.db_constraint:
        raise NotEligibleError(f"{field.name} has no constraint in the database")
    target = field.foreign_related_fields[0]
    if target not in field.remote_field.model._meta.concrete_model._meta.local_fields:
        raise NotEligibleError(f"{field.name} refers to a parent's table")
    return target


def _json_of(columns: list[str], indent: int) -> str:
    """Given columns of a natural key, return the SQL of the list that stands for it."""
    return json_list([f"to_json({column})::text" for column in columns], indent)


class _Meanings(Dict[bytes, bytes]):  # noqa: UP006  Python 3.8
    """Natural keys as JSON, by the value that COPY writes for the key. What refers to nothing is null."""

    def __missing__(self, key: bytes) -> bytes:
        return b"null"


class Planner:
    """Makes the plans of one dump: `plan(model)` returns one, or raises NotEligibleError."""

    def __init__(self, connection: Any) -> None:
        from django.conf import settings
        from django.core.serializers import get_serializer
        from django.core.serializers.json import Serializer

        self.connection = connection
        self.quote = connection.ops.quote_name
        self.types = ColumnTypes(connection)
        self.meanings: dict[tuple[Any, str], _Meanings | None] = {}
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

        :raises NotEligibleError: it must be left to Django; says why
        """
        if self.refused:
            raise NotEligibleError(self.refused)
        meta = model._meta
        check_model(model)
        if self.types.relation_kind(meta.db_table) not in ("r", "p", "m", "v"):
            raise NotEligibleError("its table is not there")
        if "%" in "".join([meta.db_table] + [field.column for field in meta.local_concrete_fields]):
            raise NotEligibleError("a percent sign in a name")
        joins = _Joins(self, meta.db_table, "t0")
        table, key = self.quote(meta.db_table), joins.column("t0", meta.pk)
        key_value = self._scalar(joins, "t0", meta.pk)
        sample = sample_of(table, self.quote(meta.pk.column), key_value.json == key)
        draft = Draft(str(meta))
        if meta.label not in NATURAL_PRIMARY:
            draft.key(key_value)
        draft.start_fields()
        for field in meta.local_fields:
            if not field.serialize:
                continue
            if field.remote_field is None or not is_natural(field.remote_field.model):
                draft.field(field.name, self._scalar(joins, "t0", field))
                continue
            meanings = self._meanings(field)
            if meanings is None:
                draft.field(field.name, self._natural_key(field, joins))
            else:
                draft.field(field.name, Scalar(joins.column("t0", field)), meanings)
        for field in meta.local_many_to_many:
            through = getattr(getattr(field.remote_field, "through", None), "_meta", None)
            if field.serialize and (through is None or through.auto_created):
                draft.many_to_many(field.name, key, self._many(field, ""), self._many(field, sample))
        order = self._order_of_objects(model, joins, key)
        return draft.finish(joins.sql, table, key, order, sample)

    def _order_of_objects(self, model: Any, joins: _Joins, key: str) -> str:
        """Given a model, return the order of its objects in SQL: by primary key, as `all_rows` has it.

        Rows without a primary key in the fixture are in the order of natural keys, so that two databases can be
        compared; Django would follow the accidental ids.
        """
        meta = model._meta
        if meta.label in NATURAL_PRIMARY:
            natural = self._natural_columns(model, joins, "t0")
            if meta.label == "auth.Permission":
                natural = natural[1:] + natural[:1]
            return ", ".join(f'{column} COLLATE "C"' for column in natural)
        return key

    def _scalar(self, joins: _Joins, alias: str, field: Any) -> Scalar:
        check_descriptor(field)
        real_type = self.types.of(field.model._meta.db_table, field.column)
        return scalar(field, joins.column(alias, field), real_type, self.zone)

    def _meanings(self, field: Any) -> _Meanings | None:
        """Given a foreign key to content types or permissions, return their natural keys, if they are few: to look them
        up here costs a third of what a join costs PostgreSQL."""
        target = _target_of(field)
        model = field.remote_field.model
        mine, theirs = (self.types.of(each.model._meta.db_table, each.column)[0] for each in (field, target))
        if not ({mine, theirs} <= INTEGERS or mine == theirs == "uuid"):  # what COPY writes is the same for both
            return None
        place = (model, target.column)
        if place not in self.meanings:
            table = target.model._meta.db_table
            joins = _Joins(self, table, "k0")
            keys = self._natural_columns(model, joins, "k0")
            self.meanings[place] = None
            with self.connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM (SELECT FROM {self.quote(table)} LIMIT {_FEW + 1}) few")  # noqa: S608
                if cursor.fetchone()[0] <= _FEW:
                    cursor.execute(
                        f"SELECT {joins.column('k0', target)}::text, {_json_of(keys, 12)} FROM {joins.sql}"  # noqa: S608
                    )
                    self.meanings[place] = _Meanings(
                        (key.encode(), value.encode().replace(_NEWLINE, b"\n")) for key, value in cursor if value
                    )
        return self.meanings[place]

    def _natural_key(self, field: Any, joins: _Joins) -> Scalar:
        """Given a foreign key to content types or permissions, return the SQL of the natural key that stands for it."""
        columns = self._natural_columns(field.remote_field.model, joins, joins.join("t0", field))
        return Scalar(_json_of(columns, 12))

    def _natural_columns(self, model: Any, joins: _Joins, alias: str) -> list[str]:
        """Given content types or permissions, return the columns of the natural key in SQL.

        :raises NotEligibleError: the application has changed what it is
        """
        concrete = model._meta.concrete_model
        check_model(concrete)
        label = concrete._meta.label
        if concrete.__module__ not in ("django.contrib.contenttypes.models", "django.contrib.auth.models"):
            raise NotEligibleError(f"{label} has a natural key of its own")
        if model.natural_key is not concrete.natural_key:
            raise NotEligibleError(f"{model._meta.label} has a natural key of its own")
        names = ["codename"] if label == "auth.Permission" else ["app_label", "model"]
        columns = []
        for name in names:
            field = concrete._meta.get_field(name)
            if field not in concrete._meta.local_fields or field.remote_field is not None:
                raise NotEligibleError(f"the natural key of {label} is in another table")
            value = self._scalar(joins, alias, field)
            column = joins.column(alias, field)
            if value.json != f"to_json({column})":
                raise NotEligibleError(f"the natural key of {label} is not text")
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
            raise NotEligibleError(f"{field.name} refers to something else than primary keys")
        joins = _Joins(self, through._meta.db_table, "r0")
        alias = joins.join("r0", target)
        if is_natural(model):
            item = _json_of(self._natural_columns(model, joins, alias), 16)
        else:
            value = self._scalar(joins, alias, concrete._meta.pk)
            if value.unless:
                raise NotEligibleError(f"{field.name} refers to keys of an unusual type")
            item = f"({value.json})::text"
        order = [self._order(concrete, name, joins, alias) for name in [*model._meta.ordering, "pk"]]
        gathered = "string_agg({}, {} ORDER BY {})".format(item, literal(",\x01" + " " * 12), ", ".join(order))
        column = joins.column("r0", source)
        opening, closing = literal("[\x01" + " " * 12), literal("\x01" + " " * 8 + "]")
        where = f"{joins.column(alias, concrete._meta.pk)} IS NOT NULL" + (f" AND {column} IN ({only})" if only else "")
        listed = f"{opening} || {gathered} || {closing}"
        return f"SELECT {column} AS source, {listed} AS list FROM {joins.sql} WHERE {where} GROUP BY {column}"  # noqa: S608

    def _order(self, model: Any, name: Any, joins: _Joins, alias: str) -> str:
        """Given a part of Meta.ordering, return it in SQL."""
        if not isinstance(name, str) or name == "?":
            raise NotEligibleError(f"{model._meta.label} is ordered by an expression")
        direction = " DESC" if name.startswith("-") else ""
        path = name.lstrip("-").split("__")
        for step in path[:-1]:
            field = model._meta.get_field(step)
            if field.remote_field is None or field not in model._meta.local_fields:
                raise NotEligibleError(f"{model._meta.label} is ordered by {name}")
            alias = joins.join(alias, field)
            model = field.remote_field.model._meta.concrete_model
        field = model._meta.pk if path[-1] == "pk" else model._meta.get_field(path[-1])
        if field.remote_field is not None or field not in model._meta.local_fields:
            raise NotEligibleError(f"{model._meta.label} is ordered by {name}")
        return joins.column(alias, field) + direction
