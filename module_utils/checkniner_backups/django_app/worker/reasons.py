"""Why a fixture could not be read, and at which row: what the operator has to mend."""

from __future__ import annotations

import re
import time
from typing import Any, Callable  # noqa: UP035  Python 3.8

from .registry import ALIAS
from .serializing import DjangoSerializer, all_rows

_PATIENCE = 30.0
"""Seconds that may be spent on looking for the row."""
_CHUNK = 2000
_OF_THE_SERVER = ("08", "40", "53", "57", "58", "55P03", "XX")
"""SQLSTATEs, or their classes, that say nothing about one app: the connection, locks, a full disk, the server's end."""


def one_line(error: BaseException) -> str:
    """Given an exception, return one line that says what went wrong, without the values of rows."""
    text = str(error).strip().split("\n")[0]
    text = re.sub(r" ?field_value was .*", "", text)
    name = type(error).__name__
    return f"{name}: {text}"[:1000] if text else name


def is_of_the_app(error: BaseException, connection: Any) -> bool:
    """Given what was raised while an app was read, and the connection after the way back to the savepoint, return
    whether the other apps can still be read."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None:
            break
        state = getattr(seen, "sqlstate", None) or getattr(seen, "pgcode", None) or ""
        if isinstance(seen, BrokenPipeError) or state.startswith(_OF_THE_SERVER):
            return False
        seen = seen.__cause__ or seen.__context__
    return not connection.needs_rollback and bool(connection.is_usable())


def reason_of(model: Any, error: BaseException) -> str:
    """Given the model that was read when an exception came, return a line that names it, with row and column."""
    from django.db import transaction

    where = model._meta.label_lower
    try:
        with transaction.atomic(using=ALIAS):  # a savepoint: to look may fail as well
            key = _failing_key(model)
            if key is not None:
                where = f"{where} pk={key}"
                column = _failing_column(model, key)
                where = f"{where} {column}" if column else where
    except Exception as second:  # noqa: BLE001  the first one is what matters
        return f"{where}: {one_line(error)} (the row was not found: {one_line(second)})"
    return f"{where}: {one_line(error)}"


class _Nowhere:
    def write(self, data: bytes) -> None:
        """Forget it."""


def _failing_key(model: Any) -> Any:
    """Return the primary key of the first row that cannot be read, or None."""
    until = time.monotonic() + _PATIENCE
    chunk: list[Any] = []
    for key in all_rows(model).values_list("pk", flat=True).iterator(chunk_size=_CHUNK):
        chunk.append(key)
        if len(chunk) == _CHUNK:
            if time.monotonic() > until:
                return None
            if not _works(lambda: _read(model, chunk)):  # noqa: B023  called at once
                break
            chunk = []
    if not chunk or _works(lambda: _read(model, chunk)):
        return None
    while len(chunk) > 1:
        half = chunk[: len(chunk) // 2]
        chunk = chunk[len(half) :] if _works(lambda: _read(model, half)) else half  # noqa: B023  called at once
    return chunk[0]


def _failing_column(model: Any, key: Any) -> str:
    rows = all_rows(model).filter(pk=key)
    for field in model._meta.local_concrete_fields:
        if not _works(lambda: list(rows.values_list(field.attname, flat=True))):  # noqa: B023  called at once
            return str(field.column)
    return ""


def _read(model: Any, keys: list[Any]) -> None:
    DjangoSerializer().write(model, all_rows(model).filter(pk__in=keys), _Nowhere())


def _works(read: Callable[[], object]) -> bool:
    from django.db import transaction

    try:
        with transaction.atomic(using=ALIAS):
            read()
    except Exception:  # noqa: BLE001  whatever the application's code raises
        return False
    return True
