"""Nothing but the load writes: receivers of signals and triggers of the database are silent while it lasts.

What they would write is in the archive already. A `post_save` receiver that creates a profile makes a second one, a
trigger that logs every INSERT logs the restore, and one that refuses every DELETE refuses to let go of what a data
migration has made.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator  # noqa: UP035  Python 3.8

_TRIGGERS = """
SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), t.tgenabled::text, t.tgtype::int & 7 = 7, c.relname
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND pg_has_role(c.relowner, 'USAGE') AND (%s::text[] IS NULL OR t.tgrelid = ANY (%s::text[]::regclass[]))
ORDER BY 1, 2
"""
_ENABLE = {"O": "ENABLE TRIGGER", "A": "ENABLE ALWAYS TRIGGER", "R": "ENABLE REPLICA TRIGGER"}


@contextmanager
def receivers() -> Iterator[None]:
    """While this lasts, nobody hears of what is saved or deleted."""
    from django.db.models import signals

    silent = (signals.pre_save, signals.post_save, signals.pre_delete, signals.post_delete, signals.m2m_changed)
    kept = [(signal, signal.receivers) for signal in silent]
    try:
        for signal in silent:
            _set_receivers(signal, [])
        yield
    finally:
        for signal, listening in kept:
            _set_receivers(signal, listening)


def _set_receivers(signal: Any, listening: list[Any]) -> None:
    with signal.lock:
        signal.receivers = listening
        signal.sender_receivers_cache.clear()


class Triggers:
    """The triggers that users made on tables of the application's role, switched off within the load's transaction.

    One that completes the row before it is inserted stays on where the table has a column that no model knows: only the
    trigger can fill it.
    """

    def __init__(self, connection: Any, known: dict[str, set[str]], tables: list[str] | None) -> None:
        """:param known: columns that models know, by table
        :param tables: quoted names; None for all tables of the database
        """
        self.connection = connection
        self.off: list[tuple[str, str, str]] = []
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute(_TRIGGERS, [tables, tables])
            for table, name, state, completes, bare in cursor.fetchall():
                if not (completes and self._has_more(cursor, table, known.get(bare, set()))):
                    self.off.append((table, name, state))
            for table, name, _ in self.off:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}".replace("%", "%%"))

    def _has_more(self, cursor: Any, table: str, known: set[str]) -> bool:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = ''",
            [table],
        )
        return bool({row[0] for row in cursor.fetchall()} - known)

    def restore(self) -> None:
        """Switch them on again, each as it was. No deferred check may be pending: PostgreSQL would refuse."""
        with self.connection.cursor() as cursor:
            for table, name, state in self.off:
                cursor.execute(f"ALTER TABLE {table} {_ENABLE[state]} {name}".replace("%", "%%"))
