"""Where the application really is connected to: what its settings made of the environment, not what we wish."""

from __future__ import annotations

from typing import Any

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

    applied: dict[str, list[str]] = {}
    for app, name in sorted(MigrationRecorder(connection).applied_migrations()):
        applied.setdefault(app, []).append(name)
    return applied
