"""Fixtures into the database: the same result as `loaddata`, in one transaction, with flat memory.

Objects of models on the fast path are inserted in batches; an object that does not go in that way is saved as
`loaddata` would, one by one, and so are those with parents or natural primary keys. Receivers of signals and triggers
are silent meanwhile.
"""

from __future__ import annotations

from typing import Any, Iterator  # noqa: UP035  Python 3.8

from . import quiet
from .channel import Channel, ProtocolError
from .dump import dump, locked_out
from .jsonstream import FixtureError, objects
from .lookups import NaturalKeys, OldIds
from .registry import ALIAS, NATURAL_PRIMARY, auto_many_to_many
from .tables import empty_tables, on_view, real_tables, refresh_views

_BATCH = 500
"""Objects in one INSERT."""
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
        if empty and announced:
            empty_tables(connection, chosen)
        run = _Load(connection)
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
                continue
            if app not in (announced or models_of):
                raise FixtureError(f"{app}.json: this application has no such app, or it was not announced")
            if empty and not announced:
                empty_tables(connection, models_of[app])
            run.member(app, channel.receive_data())
            loaded.append(app)
        run.finish(exactly=[model for label in loaded for model in models_of[label]] if empty else [])
        triggers.restore()
        notes = [] if command.get("lock") else refresh_views(connection)
        if command.get("hold"):
            channel.send("loaded", apps=loaded, models=run.counts, notes=notes)
            _hold(channel, models_of)
    channel.send("committed" if command.get("hold") else "loaded", apps=loaded, models=run.counts, notes=notes)


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


class _Load:
    """One transaction's worth of members."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.counts: dict[str, int] = {}
        self.touched: set[Any] = set()
        self.deferred: list[Any] = []
        self.pending: list[Any] = []
        self.batches: dict[Any, int] = {}
        self.on_view: dict[Any, bool] = {}
        self.seen: dict[str, set[Any]] = {}
        self.old_ids = OldIds()
        self.natural_keys = NaturalKeys(before_giving_up=self.flush)

    def member(self, app: str, chunks: Iterator[bytes]) -> None:
        """Given an app and the bytes of its fixture, save its objects.

        :raises FixtureError: the fixture holds something else, or something that cannot be saved
        """
        from django.core.serializers.python import Deserializer

        try:
            with self.natural_keys.remembered():
                source = (self._checked(app, found) for found in objects(chunks))
                for deserialized in Deserializer(source, using=ALIAS, handle_forward_references=True):
                    self._save(deserialized)
                self.flush()
        except FixtureError as error:
            raise FixtureError(f"{app}.json: {error}") from None

    def finish(self, exactly: list[Any]) -> None:
        """Save what had to wait for later objects, check all foreign keys, set the sequences.

        :param exactly: models that are to hold what the archive says and nothing else
        """
        from django.core.management.color import no_style

        for deserialized in self.deferred:
            deserialized.save_deferred_fields(using=ALIAS)
        self._delete_what_migrate_made(exactly)
        # On PostgreSQL this checks every deferred constraint of the transaction, also other tables' rows.
        self.connection.check_constraints(table_names=sorted(model._meta.db_table for model in self.touched))
        statements = self.connection.ops.sequence_reset_sql(
            no_style(), sorted(self.touched, key=lambda m: m._meta.label)
        )
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def _delete_what_migrate_made(self, models: list[Any]) -> None:
        """Given models, delete the content types and permissions among their rows that the archive does not hold."""
        from django.db.models import QuerySet

        for model in reversed(models):  # permissions before the content types that they refer to
            if model._meta.label in NATURAL_PRIMARY:
                there = set(QuerySet(model, using=ALIAS).values_list("pk", flat=True))
                unwanted = sorted(there - self.seen.get(model._meta.label, set()))
                for start in range(0, len(unwanted), _BATCH):
                    rows = QuerySet(model, using=ALIAS).filter(pk__in=unwanted[start : start + _BATCH])
                    rows._raw_delete(ALIAS)

    def _checked(self, app: str, found: dict[str, Any]) -> dict[str, Any]:
        """Given an object of a fixture, return it if this application knows it and it is of this app."""
        from django.apps import apps

        label = found.get("model")
        if not isinstance(label, str) or not isinstance(found.get("fields"), dict):
            raise FixtureError("an object without model or fields")
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):
            raise FixtureError(f"this application has no model {label!r}") from None
        if model._meta.app_label != app:
            raise FixtureError(f"it holds an object of {model._meta.label_lower}")
        fields = {field.name for field in model._meta.get_fields()}
        unknown = sorted(set(found["fields"]) - fields)
        if unknown:
            raise FixtureError("model {} has no field {}".format(model._meta.label_lower, ", ".join(unknown)))
        return self.old_ids.translate(model, found)

    def _save(self, deserialized: Any) -> None:
        from django.db import router

        model = type(deserialized.object)
        if not router.allow_migrate_model(ALIAS, model) or self._is_on_view(model):
            return
        self.touched.add(model)
        self.counts[model._meta.label_lower] = self.counts.get(model._meta.label_lower, 0) + 1
        if model not in self.batches:
            self.batches[model] = _batch_size(self.connection, model)
        if self.pending and type(self.pending[0].object) is not model:
            self.flush()
        if self.batches[model] < 2 or deserialized.deferred_fields or deserialized.object.pk is None:
            self.flush()
            self._save_one(deserialized)
        else:
            self.pending.append(deserialized)
            if len(self.pending) >= self.batches[model]:
                self.flush()

    def _is_on_view(self, model: Any) -> bool:
        if model not in self.on_view:
            self.on_view[model] = on_view(self.connection, model)
        return self.on_view[model]

    def flush(self) -> bool:
        """Insert the objects that wait for each other; return whether there were some."""
        from django.db import DatabaseError, transaction

        batch, self.pending = self.pending, []
        if not batch:
            return False
        self.natural_keys.forget(type(batch[0].object))
        try:
            with transaction.atomic(using=ALIAS):
                _insert(batch)
        except (DatabaseError, ValueError):
            # A row that exists already, or one that cannot be saved: one by one, as loaddata does, tells which.
            for deserialized in batch:
                self._save_one(deserialized)
        return True

    def _save_one(self, deserialized: Any) -> None:
        from django.db import DatabaseError

        self.natural_keys.forget(type(deserialized.object))
        try:
            deserialized.save(using=ALIAS)
        except (DatabaseError, ValueError) as error:
            found = deserialized.object
            raise FixtureError(f"cannot load {found._meta.label}(pk={found.pk}): {error}") from error
        if deserialized.deferred_fields:
            self.deferred.append(deserialized)
        if deserialized.object._meta.label in NATURAL_PRIMARY:
            self.seen.setdefault(deserialized.object._meta.label, set()).add(deserialized.object.pk)
        self.old_ids.saved(deserialized.object)


def _columns() -> dict[str, set[str]]:
    """Return the columns that the application's models know, by table."""
    from django.apps import apps

    known: dict[str, set[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        columns = {field.column for field in model._meta.local_concrete_fields}
        known.setdefault(model._meta.db_table.strip('"').rpartition('"."')[2], set()).update(columns)
    return known


def _batch_size(connection: Any, model: Any) -> int:
    """Given a model, return how many objects may go into one INSERT; 1 if something wants to see each one saved."""
    from django.db import models

    meta = model._meta
    own_save = model.save_base is not models.Model.save_base
    to_itself = any(
        field.remote_field and field.remote_field.model._meta.concrete_model is meta.concrete_model
        for field in [*meta.local_fields, *meta.local_many_to_many]
        if hasattr(model, "natural_key")
    )
    if meta.label in NATURAL_PRIMARY or meta.parents or meta.proxy or own_save or to_itself:
        return 1
    columns = [field for field in meta.local_concrete_fields if not getattr(field, "generated", False)]
    return min(_BATCH, int(connection.ops.bulk_batch_size(columns, [None] * _BATCH) or _BATCH))


def _insert(batch: list[Any]) -> None:
    """Given deserialized objects of one model, insert them and their many-to-many rows, values as they are."""
    model = type(batch[0].object)
    columns = [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]
    _raw_insert(model, columns, [deserialized.object for deserialized in batch])
    for field in auto_many_to_many(model):
        through = field.remote_field.through
        source = through._meta.get_field(field.m2m_field_name())
        target = through._meta.get_field(field.m2m_reverse_field_name())
        names = (source.attname, target.attname)
        rows = []
        for deserialized in batch:
            value = getattr(deserialized.object, source.target_field.attname)
            for key in dict.fromkeys(deserialized.m2m_data.get(field.name, ())):
                rows.append(through(**{names[0]: value, names[1]: key}))
        for start in range(0, len(rows), _BATCH):
            _raw_insert(through, [source, target], rows[start : start + _BATCH])


def _raw_insert(model: Any, columns: list[Any], instances: list[Any]) -> None:
    from django.db.models import QuerySet

    QuerySet(model, using=ALIAS)._insert(instances, fields=columns, raw=True, using=ALIAS)
