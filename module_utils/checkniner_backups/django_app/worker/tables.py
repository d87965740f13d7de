"""The tables behind the application's models, as the database has them: emptied before a load, and views left alone."""

from __future__ import annotations

from typing import Any

from .jsonstream import FixtureError
from .registry import NATURAL_PRIMARY, auto_many_to_many


def real_tables(connection: Any, models: list[Any]) -> list[str]:
    """Given models, return the tables that hold their rows and many-to-many rows, in the order to empty them.

    Not those of content types and permissions.
    """
    tables = [field.remote_field.through._meta.db_table for model in models for field in auto_many_to_many(model)]
    tables += [model._meta.db_table for model in reversed(models) if model._meta.label not in NATURAL_PRIMARY]
    with connection.cursor() as cursor:
        real = {info.name for info in connection.introspection.get_table_list(cursor) if info.type in ("t", "p")}
    return list(dict.fromkeys(table for table in tables if table in real or '"' in table))


def empty_tables(connection: Any, models: list[Any]) -> None:
    """Given models, delete their rows and many-to-many rows; never content types and permissions.

    :raises FixtureError: the database itself would delete or change rows of other tables
    """
    tables = real_tables(connection, models)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            quoted = [connection.ops.quote_name(table) for table in tables]
            cursor.execute(
                "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
                " WHERE contype = 'f' AND confdeltype NOT IN ('a', 'r')"
                " AND confrelid = ANY (%s::text[]::regclass[]) AND NOT conrelid = ANY (%s::text[]::regclass[])",
                [quoted, quoted],
            )
            for referring, referred in cursor.fetchall():
                cursor.execute("SELECT EXISTS (SELECT 1 FROM {})".format(referring.replace("%", "%%")))  # noqa: S608  names
                if cursor.fetchone()[0]:
                    raise FixtureError(f"emptying {referred} would change {referring}, which is not restored")
        for table in tables:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608  a quoted name


def kind(connection: Any, model: Any) -> str:
    """Given a model, return `table`, `view` or `absent`: what the database has under the name of its table."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)",
                [connection.ops.quote_name(model._meta.db_table)],
            )
            row = cursor.fetchone()
        return "absent" if row is None else "view" if row[0] in "vm" else "table"
    with connection.cursor() as cursor:
        kinds = {info.name: info.type for info in connection.introspection.get_table_list(cursor)}
    found = kinds.get(model._meta.db_table)
    return "absent" if found is None else "view" if found == "v" else "table"


def on_view(connection: Any, model: Any) -> bool:
    """Given a model, return whether it shows rows of other tables: nothing is loaded into a view."""
    return not model._meta.managed and kind(connection, model) == "view"


def refresh_views(connection: Any) -> list[str]:
    """Let the materialized views of the application's role show what is there now; return a text for each that cannot.

    They are refreshed in the order in which they were made: one may read another.
    """
    from django.db import DatabaseError, transaction

    if connection.vendor != "postgresql":
        return []
    notes = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relkind = 'm' AND relispopulated AND pg_has_role(relowner, 'USAGE') ORDER BY oid"
        )
        for (name,) in cursor.fetchall():
            try:
                with transaction.atomic(using=connection.alias):
                    cursor.execute(f"REFRESH MATERIALIZED VIEW {name}".replace("%", "%%"))
            except DatabaseError as error:
                reason = str(error).strip().split("\n")[0]
                notes.append(f"the materialized view {name} could not be refreshed: {reason}")
    return notes
