"""Where the application really is connected to: what its settings made of the environment, not what was asked for."""

from __future__ import annotations

from typing import Any, Iterable  # noqa: UP035  Python 3.8

from .channel import Channel
from .registry import ALIAS
from .tables import kind


def connection_info(channel: Channel, models_of: dict[str, list[Any]]) -> None:
    """Send which database this is, how many tables are there, which migrations were applied, and what lies behind the
    models that no migration makes."""
    from django.db import connections

    connection = connections[ALIAS]
    settings = connection.settings_dict
    with connection.cursor() as cursor:
        tables = len(connection.introspection.table_names(cursor))
    channel.send(
        "connection_info",
        vendor=connection.vendor,
        name=str(settings["NAME"]),
        host=str(settings.get("HOST") or ""),
        tables=tables,
        migrations=migrations(connection),
        unmanaged={
            model._meta.label_lower: kind(connection, model)
            for models in models_of.values()
            for model in models
            if not model._meta.managed
        },
    )


def prepare(channel: Channel, command: dict[str, Any]) -> None:
    """Given a `prepare` command, make in a new database what its migrations expect and do not make.

    That is a schema, where the search path names none that is there, and the trusted extensions that somebody made by
    hand in the database of the archive. What this role may not make is sent back, with the reason.
    """
    from django.db import DatabaseError, connections, transaction

    connection = connections[ALIAS]
    refused: dict[str, str] = {}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_schema() IS NULL, current_setting('search_path')")
            homeless, path = cursor.fetchone()
            names = [name.strip().strip('"') for name in path.split(",")] if homeless else []
            for name in names:
                if name and not name.startswith(("$", "pg_")):
                    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {connection.ops.quote_name(name)}")
            for name, schema in command["extensions"]:
                quoted = connection.ops.quote_name
                try:
                    with transaction.atomic(using=ALIAS):
                        if not schema.startswith("pg_"):
                            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
                        cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {quoted(name)} SCHEMA {quoted(schema)}")
                except DatabaseError as error:
                    refused[name] = str(error).strip().split("\n")[0]
    channel.send("prepared", refused=refused)


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


def write_all_the_same(connection: Any, **_: Any) -> None:
    """Given a new connection, let it write where its role is read-only by default (`ALTER ROLE ... SET`)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_read_only")
            if cursor.fetchone()[0] == "on":
                cursor.execute("SET default_transaction_read_only = off")
