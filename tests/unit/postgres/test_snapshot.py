"""Which table a model's `db_table` means."""

from __future__ import annotations

from typing import Any

import pytest
from checkniner_backups.postgres.snapshot import Snapshot, Table

TABLES = tuple(
    Table(number, schema, name, "r", f"{schema}.{name}")
    for number, (schema, name) in enumerate([("app", "shop"), ("public", "shop"), ("public", "Odd name")])
)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("shop", 0),
        ('"shop"', 0),
        ('public"."shop', 1),
        ('"public"."shop"', 1),
        ("Odd name", 2),
        ('"Odd name"', 2),
        ("x", None),
    ],
)
def test_the_table_that_django_means(name: str, number: int | None) -> None:
    nothing: Any = None
    snapshot = Snapshot(nothing, nothing, "", "", TABLES, ("app", "public"), 5.0)
    found = snapshot.find(name)
    assert (found.oid if found else None) == number
