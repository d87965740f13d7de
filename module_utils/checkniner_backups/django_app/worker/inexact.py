"""Values that PostgreSQL holds and a fixture does not: what the operator must know before restoring from fixtures.

Python's dates have no infinity (psycopg2 makes the year 9999 of it), and JSON numbers become floats, which keep about
16 digits. Only models that Django serialises are looked at: the fast way never takes a row with such a value.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

_SHOWN = 5
_CANDIDATES = 10_000
"""Rows with long numbers that are looked at, for each column."""
_DATES = ("date", "timestamp without time zone", "timestamp with time zone")


def inexact_values(connection: Any, types: Any, model: Any) -> list[str]:
    """Given a model on PostgreSQL, return a line for each value that its fixture does not hold exactly, the first few.

    :param types: of the columns, as `columns.ColumnTypes` knows them
    """
    meta = model._meta
    if connection.vendor != "postgresql" or types.relation_kind(meta.db_table) not in ("r", "p"):
        return []
    quote = connection.ops.quote_name
    found = []
    for field in meta.local_concrete_fields:
        kind = types.of(meta.db_table, field.column)[0] if field.column and meta.pk.column else ""
        key, column, table = quote(meta.pk.column or ""), quote(field.column or ""), quote(meta.db_table)
        if kind in _DATES:
            query = (
                f"SELECT {key}, {column}::text FROM {table} WHERE NOT isfinite({column}) ORDER BY 1 LIMIT {_SHOWN + 1}"  # noqa: S608  quoted names
            )
            found += [(pk, field, f"{value} is no date in Python") for pk, value in _rows(connection, query)]
        elif kind in ("json", "jsonb"):
            query = (
                f"SELECT {key}, {column}::text FROM {table} WHERE {column}::text ~ '[0-9][0-9.]{{15}}|[eE][+-]?[0-9]'"  # noqa: S608
                f" ORDER BY 1 LIMIT {_CANDIDATES}"
            )
            for pk, value in _rows(connection, query):
                number = _lost(value)
                if number:
                    found.append((pk, field, f"the number {number} has more digits than a float keeps"))
    lines = [f"{meta.label_lower} pk={pk} {field.column}: {what}" for pk, field, what in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"{meta.label_lower}: and more")
    return lines


def _rows(connection: Any, query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query.replace("%", "%%"))
        return list(cursor.fetchall())


def _lost(text: str) -> str:
    """Given JSON, return the first number that does not survive as a float; nothing if all do."""
    lost = []

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value) or Decimal(repr(value)) != Decimal(digits):
            lost.append(digits[:40])
        return value

    json.loads(text, parse_float=number)
    return lost[0] if lost else ""
