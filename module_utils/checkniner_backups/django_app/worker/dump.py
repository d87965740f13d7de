"""All apps' fixtures from one snapshot: what `dumpdata --all --indent 4` prints for each, byte for byte.

References to content types and permissions are natural keys (see `registry`), all others are the keys themselves.
Primary keys are kept, but those of content types and permissions, which are ordered by natural key. An app that cannot
be read is reported, and the others are read all the same. A model whose key is a foreign key is ordered by
that key's values, not as the model that it refers to. Many-to-many lists are in the order of the related model, then of
its primary key; Django before 6.1 leaves ties as the database finds them. Rows that a manager hides are there; only in
many-to-many lists, what the related model's default manager hides is missing, which is told as a warning.

An eligible model is read by COPY (see `plan`), after two proofs in the same snapshot: no row holds a value that SQL
writes differently, and a sample of rows comes out of Django's own serializer with the same bytes.
"""

from __future__ import annotations

import re
from typing import Any

from .channel import FRAME_SIZE, Channel
from .columns import NotEligibleError
from .connection_info import migrations, search_path
from .copyout import ObjectWriter, copy_out
from .inexact import inexact_values
from .plan import Planner
from .reasons import is_of_the_app, reason_of
from .registry import ALIAS, auto_many_to_many, key_by_name
from .serializing import DjangoSerializer, all_rows
from .statement import Plan

# lock_not_available, deadlock_detected; serialization_failure: a standby ends what stands in the way of its replay.
_LOCKED_OUT = ("55P03", "40P01", "40001")


def dump(channel: Channel, command: dict[str, Any], models_of: dict[str, list[Any]]) -> None:
    """Given a `dump` command, send the apps' fixtures and a report; or that a lock could not be had or kept."""
    from django.db import connections, transaction
    from django.db.utils import OperationalError

    connection = connections[ALIAS]
    connection.ensure_connection()
    # Within a transaction, server-side cursors are safe behind any pooler; without them memory is not flat.
    connection.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = False
    wanted = command.get("apps")
    try:
        with transaction.atomic(using=ALIAS):
            _begin(connection, command)
            run = _Dump(channel, connection, partial=bool(command.get("partial")))
            for label, models in models_of.items():
                if wanted is None or label in wanted:
                    run.app(label, models)
            found = {"migrations": migrations(connection), "search_path": search_path(connection)}
            channel.send("report", models=run.models, warnings=run.warnings, inexact=run.inexact, **found)
    except OperationalError as error:
        if command.get("inside") or not locked_out(error):
            raise
        connection.close()
        channel.send("lock-timeout")
    if not command.get("inside"):
        connection.close()


def locked_out(error: BaseException) -> bool:
    """Given an error of Django, return whether a lock was not to be had."""
    cause = error.__cause__
    return (getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)) in _LOCKED_OUT


def _begin(connection: Any, command: dict[str, Any]) -> None:
    """Join the snapshot and lock the tables; every statement here comes before the first that reads data."""
    snapshot = command.get("snapshot")
    if connection.vendor != "postgresql":
        if snapshot:
            raise ValueError("only PostgreSQL has snapshots")
        return
    statements = ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"] if not command.get("inside") else []
    if snapshot:
        if not re.match(r"[0-9A-F-]+\Z", snapshot):
            raise ValueError("not the name of a snapshot")
        statements.append(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    settings = {
        "row_security": "off",  # a hidden row is an error
        "lock_timeout": str(int(command.get("lock_timeout_ms") or 0)),
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "extra_float_digits": "1",
        "datestyle": "'ISO, MDY'",
        "intervalstyle": "'postgres'",
        "bytea_output": "'hex'",
        "standard_conforming_strings": "on",
        "jit": "off",
    }
    statements += [f"SET LOCAL {name} = {value}" for name, value in settings.items()]
    if connection.timezone_name == "UTC":
        statements.append("SET LOCAL timezone = 'UTC'")  # a pooler may have lost what Django set
    if command.get("lock_tables"):
        statements.append("LOCK TABLE {} IN ACCESS SHARE MODE".format(", ".join(command["lock_tables"])))
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


class _Sink:
    """Gathers the pieces of a member into data frames."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> None:
        if len(data) >= FRAME_SIZE:
            self.flush()
            self.channel.send_data(data)  # not copied once more
            return
        self.pieces.append(data)
        self.size += len(data)
        if self.size >= FRAME_SIZE:
            self.flush()

    def flush(self) -> None:
        if self.pieces:
            self.channel.send_data(b"".join(self.pieces))
        self.pieces, self.size = [], 0


class _Memory:
    """Keeps what is written, for the few rows of a sample."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def text(self) -> bytes:
        return b"".join(self.pieces)


class _Dump:
    """One run over the apps; every method reads from the same snapshot."""

    def __init__(self, channel: Channel, connection: Any, partial: bool) -> None:
        """:param partial: whether an app that cannot be read is left out, or ends the dump"""
        self.channel = channel
        self.partial = partial
        self.connection = connection
        self.planner = Planner(connection)
        self.serializer = DjangoSerializer()
        self.models: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.inexact: dict[str, list[str]] = {}
        self.reading: Any = None

    def app(self, label: str, models: list[Any]) -> None:
        """Send the fixture of one app; or that it cannot be read, and why: the others are read all the same."""
        from django.db import transaction

        self.channel.send("app", app=label)
        before, warned = len(self.models), len(self.warnings)
        try:
            with transaction.atomic(using=ALIAS):  # a savepoint: what fails must not end the snapshot
                total = self._objects(models)
        except Exception as error:
            if not (self.partial and is_of_the_app(error, self.connection)):
                raise
            del self.models[before:], self.warnings[warned:]
            self.inexact.pop(label, None)
            self.channel.send("app-failed", app=label, reason=reason_of(self.reading, error))
            return
        self.channel.send("app-end", app=label, objects=total)

    def _objects(self, models: list[Any]) -> int:
        """Send the objects of these models as one list; return their number."""
        sink = _Sink(self.channel)
        sink.write(b"[")
        total = 0
        for model in models:
            self.reading = model
            separator = b"," if total else b""
            try:
                plan = self._proven_plan(model)
                writer = ObjectWriter(plan, sink, separator)
                copy_out(self.connection, plan.copy, writer.block)
                count, way, why = writer.objects, "fast", ""
            except NotEligibleError as reason:
                count, way, why = self._by_django(model, sink, separator), "django", str(reason)
            if count and (target := key_by_name(model)):
                self._tell_inexact(
                    model, f"the key is that of a row of {target._meta.label_lower}, which may get another"
                )
            self.models.append({"label": model._meta.label_lower, "objects": count, "way": way, "why": why})
            total += count
        sink.write(b"\n]\n")
        sink.flush()
        return total

    def _proven_plan(self, model: Any) -> Plan:
        """Given a model, return its plan if SQL and Django agree.

        :raises NotEligibleError: leave it to Django
        """
        from django.db.models.expressions import RawSQL

        plan = self.planner.plan(model)
        if plan.odd_row:
            with self.connection.cursor() as cursor:
                cursor.execute(plan.odd_row)
                if cursor.fetchone():
                    raise NotEligibleError("a value that SQL writes differently")
        by_sql, by_django = _Memory(), _Memory()
        copy_out(self.connection, plan.copy_sample, ObjectWriter(plan, by_sql, b"").block)
        self.serializer.write(model, all_rows(model).filter(pk__in=RawSQL(plan.sample, [])), by_django)  # noqa: S611  made here
        if by_sql.text() != by_django.text():
            self.warnings.append(f"{model._meta.label_lower}: SQL and Django differ; Django was used")
            raise NotEligibleError("SQL and Django differ in a sample")
        return plan

    def _by_django(self, model: Any, sink: Any, separator: bytes) -> int:
        """Given a model, let Django serialise it; return the number of objects."""
        if not model._meta.managed and not self.planner.types.is_there(model._meta.db_table):
            self.warnings.append(f"{model._meta.label_lower}: unmanaged, and its table is not there")
            return 0
        self._tell_of_hidden(model)
        if lines := inexact_values(self.connection, self.planner.types, model):
            self.inexact.setdefault(model._meta.app_label, []).extend(lines)
        return self.serializer.write(model, all_rows(model), sink, separator)

    def _tell_inexact(self, model: Any, what: str) -> None:
        self.inexact.setdefault(model._meta.app_label, []).append(f"{model._meta.label_lower}: {what}")

    def _tell_of_hidden(self, model: Any) -> None:
        """Tell of many-to-many rows whose targets the related model's default manager hides: Django leaves them out."""
        from django.db.models import QuerySet

        for field in auto_many_to_many(model):
            target = field.remote_field.model
            through = QuerySet(field.remote_field.through, using=ALIAS)
            visible = target._default_manager.using(ALIAS).order_by().values("pk")
            hidden = through.exclude(**{field.m2m_reverse_field_name() + "__in": visible})
            if type(target._default_manager).__module__.startswith("django.") or not hidden.exists():
                continue
            self._tell_inexact(model, f"{field.name} refers to rows that a default manager hides, and lacks them")
