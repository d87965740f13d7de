"""Fixtures into the database: the same result as `loaddata`, in one transaction, with flat memory.

Objects of models on the fast path are copied (see `bulk`), others are inserted in batches; an object that does not go
in that way is saved as `loaddata` would, one by one, and so are those with parents or natural primary keys. Receivers
of signals and triggers are silent meanwhile.
"""

from __future__ import annotations

from typing import Any

from . import quiet
from .channel import Channel, ProtocolError
from .dump import dump, locked_out
from .jsonstream import FixtureError, objects
from .members import Load
from .rebuild import Rebuild
from .references import References
from .registry import ALIAS
from .tables import empty_tables, real_tables, refresh_views

_LOCK_WAIT = 15
"""Seconds that a load into a database in use waits for those who write."""


def load(channel: Channel, command: dict[str, Any], models_of: dict[str, list[Any]]) -> None:
    """Given a `load` command, load the members that follow it; send how many objects of each model there were.

    An exception leaves everything as it was.
    """
    from django.db import connections, transaction

    announced, empty = command["apps"], command.get("empty")
    connection = connections[ALIAS]
    loaded: list[str] = []
    with transaction.atomic(using=ALIAS), connection.constraint_checks_disabled(), quiet.receivers():
        chosen = [model for label in announced for model in models_of[label]]
        if command.get("lock"):
            _lock(channel, connection, chosen)
        # In a database in use, only where nobody else can write.
        quoted = [connection.ops.quote_name(table) for table in real_tables(connection, chosen)]
        triggers = quiet.Triggers(connection, _columns(), quoted if command.get("lock") else None)
        # In a database in use, others would wait for these locks until the end.
        rebuild = Rebuild(connection, quoted if empty and not command.get("lock") else [])
        if empty and announced:
            empty_tables(connection, chosen)
        run, references = Load(connection), References(chosen)
        while True:
            message = channel.receive()
            if message is None:
                raise ProtocolError("the load was cut off")
            if message["do"] == "load-end":
                break
            app = message["app"]
            if message.get("lookup"):
                for found in objects(channel.receive_data()):
                    run.old_ids.learn(found)
                    references.learn(found)
                continue
            if app not in (announced or models_of):
                raise FixtureError(f"{app}.json: this application has no such app, or it was not announced")
            if empty and not announced:
                empty_tables(connection, models_of[app])
            run.member(app, channel.receive_data())
            loaded.append(app)
        run.finish(rebuild, exactly=[model for label in loaded for model in models_of[label]] if empty else [])
        triggers.restore()
        notes = [] if command.get("lock") else refresh_views(connection)
        told = {
            "apps": loaded,
            "models": run.counts,
            "copied": run.copied,
            "notes": notes,
            "others": references.found(),
        }
        if command.get("hold"):
            channel.send("loaded", **told)
            _hold(channel, models_of)
    channel.send("committed" if command.get("hold") else "loaded", **told)


def _lock(channel: Channel, connection: Any, models: list[Any]) -> None:
    """Given models, let nobody else write their tables until the end; readers go on. Say when that is so."""
    from django.db.utils import OperationalError

    if connection.vendor == "postgresql":
        tables = [connection.ops.quote_name(table) for table in real_tables(connection, models)]
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}s'")
                if tables:
                    cursor.execute("LOCK TABLE {} IN EXCLUSIVE MODE".format(", ".join(tables)))
                cursor.execute("SET LOCAL lock_timeout = 0")
        except OperationalError as error:
            if locked_out(error):
                channel.send("load-locked-out")
            raise
    channel.send("locked")


def _hold(channel: Channel, models_of: dict[str, list[Any]]) -> None:
    """Keep the transaction open for dumps of what is in it, until we are told to commit.

    :raises ProtocolError: anything else is asked for, or nobody is there any more: it is all undone
    """
    while True:
        command = channel.receive()
        if command is None:
            raise ProtocolError("the load was cut off before it was committed")
        if command["do"] == "commit":
            return
        if command["do"] != "dump":
            raise ProtocolError("a load waits to be committed")
        dump(channel, dict(command, inside=True), models_of)


def _columns() -> dict[str, set[str]]:
    """Return the columns that the application's models know, by table."""
    from django.apps import apps

    known: dict[str, set[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        columns = {field.column for field in model._meta.local_concrete_fields}
        known.setdefault(model._meta.db_table.strip('"').rpartition('"."')[2], set()).update(columns)
    return known
