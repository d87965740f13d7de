"""Where the application really is connected to: what its settings made of the environment, not what we wish."""

from __future__ import annotations

from typing import Any, Iterable  # noqa: UP035  Python 3.8

from .channel import Channel
from .registry import ALIAS


def place(channel: Channel) -> None:
    """Send which database this is, how many tables are there, and which migrations were applied."""
    from django.db import connections

    connection = connections[ALIAS]
    settings = connection.settings_dict
    with connection.cursor() as cursor:
        tables = len(connection.introspection.table_names(cursor))
    channel.send(
        "place",
        vendor=connection.vendor,
        name=str(settings["NAME"]),
        host=str(settings.get("HOST") or ""),
        tables=tables,
        migrations=migrations(connection),
    )


def migrations(connection: Any) -> dict[str, list[str]]:
    """Return the names of the migrations that were applied, for each app."""
    from django.db.migrations.recorder import MigrationRecorder

    return _by_app(MigrationRecorder(connection).applied_migrations())


def migrations_of_code(channel: Channel) -> None:
    """Send the names of the migrations that `migrate` would note for each app in an empty database.

    One that replaces others is noted with all of them.
    """
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    noted = set(loader.graph.nodes)
    replacing = list(noted)
    while replacing:
        migration = loader.disk_migrations.get(replacing.pop())
        more = set(migration.replaces if migration else ()) - noted
        noted |= more
        replacing += more
    channel.send("migrations", apps=_by_app(noted))


def search_path(connection: Any) -> list[str]:
    """Return the schemas in which this connection finds a table that is named without one: the settings may say."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT unnest(current_schemas(false))")
        return [row[0] for row in cursor.fetchall()]


def _by_app(migrations: Iterable[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for app, name in sorted(migrations):
        found.setdefault(app, []).append(name)
    return found


def clear(channel: Channel) -> None:
    """Drop all tables, with what depends on them: what a load that failed has made in a database that held none."""
    from django.db import connections

    connection = connections[ALIAS]
    cascade = " CASCADE" if connection.vendor == "postgresql" else ""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(name)}{cascade}")
    channel.send("cleared")
