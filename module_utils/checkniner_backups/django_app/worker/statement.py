"""The SQL that reads one model on the fast path, put together piece by piece."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Mapping  # noqa: UP035  Python 3.8

from .columns import NotEligibleError, Scalar

NEWLINE = "\x01"
"""Stands for a newline inside a value: JSON text never holds it, and COPY does not escape it."""
DELIMITER = "\x02"
"""Between two values, for the same reason."""
SAMPLE = 10
"""Rows from each of start, end and middle that are also serialised by Django before SQL is believed."""


@dataclass(frozen=True)
class Plan:
    """How a model on the fast path is read: `constants[0] value constants[1] value ... constants[-1]` makes one
    object."""

    copy: str
    """The COPY statement that yields all rows."""
    copy_sample: str
    """The same for a few rows."""
    sample: str
    """The primary keys of these rows, as a sub-select."""
    odd_row: str
    """A query that finds a row that SQL would write differently; empty when there can be none."""
    constants: tuple[bytes, ...]
    meanings: tuple[Mapping[bytes, bytes] | None, ...]
    """For each value, what it stands for, where it is a key; the value itself where there is None."""


def sample_of(table: str, column: str, integers: bool) -> str:
    """Given a table and its primary key, return a sub-select of keys from its start, its end and its middle."""
    select = f"(SELECT {column} FROM {table}"  # noqa: S608  quoted names
    limit = f" LIMIT {SAMPLE})"
    parts = [f"{select} ORDER BY {column}{limit}", f"{select} ORDER BY {column} DESC{limit}"]
    if integers:
        middle = f"(SELECT min({column}) / 2 + max({column}) / 2 FROM {table})"  # noqa: S608  quoted names
        parts.append(f"{select} WHERE {column} >= {middle} ORDER BY {column}{limit}")
    return " UNION ".join(parts)


def literal(text: str) -> str:
    """Given text, return it as an SQL string that no setting can change the meaning of."""
    escaped = "".join(c if c >= " " and c not in "'\\" else f"\\x{ord(c):02x}" for c in text)
    return f"E'{escaped}'"


class Draft:
    """Gathers what makes a plan: the values of one object, and the text between them."""

    def __init__(self, model: str) -> None:
        """Given a model's label, start."""
        self.constants = [f'{{\x01    "model": {json.dumps(model)}']
        self.values: list[str] = []
        self.meanings: list[Mapping[bytes, bytes] | None] = []
        self.unless: list[str] = []
        self.separator = ""
        self.many = ""
        self.sampled_many = ""

    def key(self, value: Scalar) -> None:
        """Add the primary key."""
        self._add(',\x01    "pk": ', value)

    def start_fields(self) -> None:
        """What follows are fields."""
        self.constants[-1] += ',\x01    "fields": {'

    def field(self, name: str, value: Scalar, meaning: Mapping[bytes, bytes] | None = None) -> None:
        """Add a field.

        :param meaning: what its values stand for, if they are keys
        """
        self._add(f"{self.separator}\x01        {json.dumps(name)}: ", value, meaning)
        self.separator = ","

    def many_to_many(self, name: str, key: str, select: str, sampled: str) -> None:
        """Add a many-to-many field, given two SELECTs of (source, list): of all rows, and for the sample."""
        alias = f"m{len(self.values)}"
        self.many += f" LEFT JOIN ({select}) {alias} ON {alias}.source = {key}"
        self.sampled_many += f" LEFT JOIN ({sampled}) {alias} ON {alias}.source = {key}"
        self.field(name, Scalar(f"coalesce({alias}.list, '[]')"))

    def finish(self, tables: str, table: str, key: str, order: str, sample: str) -> Plan:
        """Return the plan.

        :param tables: what to select from, but for the many-to-many fields
        :param table: the model's own table; `t0` in all expressions
        :raises NotEligibleError: there is nothing to select
        """
        if not self.values:
            raise NotEligibleError("nothing of it is serialised")
        self.constants[-1] += ("\x01    }" if self.separator else "}") + "\x01}"
        odd = " OR ".join(condition for condition in self.unless if condition)
        select = f"COPY (SELECT {', '.join(self.values)} FROM {tables}"  # noqa: S608  quoted names
        options = f" ORDER BY {order}) TO STDOUT WITH (DELIMITER {literal(DELIMITER)}, NULL 'null', ENCODING 'UTF8')"
        return Plan(
            copy=select + self.many + options,
            copy_sample=f"{select}{self.sampled_many} WHERE {key} IN ({sample}){options}",
            sample=sample,
            odd_row=f"SELECT 1 FROM {table} t0 WHERE {odd} LIMIT 1" if odd else "",  # noqa: S608  quoted names
            constants=tuple(constant.replace(NEWLINE, "\n").encode() for constant in self.constants),
            meanings=tuple(self.meanings),
        )

    def _add(self, before: str, value: Scalar, meaning: Mapping[bytes, bytes] | None = None) -> None:
        quote = '"' if value.bare else ""
        self.constants[-1] += before + quote
        self.constants.append(quote)
        self.values.append(value.bare or value.json)
        self.unless.append(value.unless)
        self.meanings.append(meaning)


def json_list(items: list[str], indent: int) -> str:
    """Given the items of a list in SQL, return it as json.dumps(indent=4) lays it out; NULL if an item is."""
    between = " || {} || ".format(literal(",\x01" + " " * indent))
    closing = literal("\x01" + " " * (indent - 4) + "]")
    return "{} || {} || {}".format(literal("[\x01" + " " * indent), between.join(items), closing)
