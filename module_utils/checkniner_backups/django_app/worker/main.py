"""The loop that takes commands from the engine, inside the application's interpreter."""

from __future__ import annotations

import collections
import os
import sys
from types import TracebackType
from typing import Any

from .channel import Channel
from .connection_info import clear, connection_info, migrations_of_code, prepare, write_all_the_same
from .dump import dump
from .isolation import isolate_if_rehearsed
from .load import load
from .reasons import one_line
from .references import referenced
from .registry import ALIAS, describe, models_elsewhere, ordered_apps, see_every_row
from .visit import visit

_ALONE = {"prepare": prepare, "visit": visit}
"""What needs nothing but its command."""


def migrate() -> None:
    """Run Django's command `migrate` with the arguments that this program was given."""
    sys.path[0] = os.getcwd()  # noqa: PTH109

    from django.core.management import execute_from_command_line
    from django.db.backends.signals import connection_created

    isolate_if_rehearsed()
    connection_created.connect(write_all_the_same)
    execute_from_command_line(["django", *sys.argv[1:]])


def main() -> None:
    """Set Django up, say so, and do what is asked until the engine hangs up."""
    if sys.argv[1:2] == ["migrate"]:
        migrate()
        return
    channel = Channel.take_over()

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An exception ends the process; the engine hears why."""
        sys.__excepthook__(kind, error, trace)
        try:
            channel.send("error", message=one_line(error))
        except OSError:
            sys.stderr.write("the engine is gone\n")

    sys.excepthook = report
    sys.path[0] = os.getcwd()  # noqa: PTH109  as manage.py has it; until here it was the zip of these files

    import django

    isolate_if_rehearsed()
    django.setup()
    from django.db import connections

    connection = connections[ALIAS]
    connection.queries_log = collections.deque(maxlen=0)  # with DEBUG, Django keeps the last 9,000 statements
    connection.ensure_connection()
    see_every_row()
    models_of = ordered_apps()
    channel.send(
        "ready",
        django=django.get_version(),
        python=".".join(map(str, sys.version_info[:3])),
        apps=list(models_of),
        models=describe(models_of),
        elsewhere=models_elsewhere(),
    )
    while True:
        command: dict[str, Any] | None = channel.receive()
        if command is None or command["do"] == "quit":
            connection.close()
            sys.stderr.flush()
            os._exit(0)  # taking Django apart costs a tenth of a second, and nobody needs the pieces
        if command["do"] in ("load", "prepare", "clear"):
            write_all_the_same(connection=connection)
        if command["do"] == "dump":
            dump(channel, command, models_of)
        elif command["do"] == "load":
            load(channel, command, models_of)
        elif command["do"] == "connection_info":
            connection_info(channel, models_of)
        elif command["do"] in _ALONE:
            _ALONE[command["do"]](channel, command)
        elif command["do"] == "migrations":
            migrations_of_code(channel)
        elif command["do"] == "references":
            models = [model for app in command["apps"] for model in models_of[app]]
            channel.send("references", apps=sorted({model._meta.app_label for model in referenced(models)}))
        elif command["do"] == "clear":
            clear(channel)
        else:
            raise ValueError("unknown command {!r}".format(command["do"]))
