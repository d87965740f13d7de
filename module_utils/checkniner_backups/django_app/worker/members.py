"""One transaction's worth of members: objects go in by COPY where that is the same, in batches, or one by one."""

from __future__ import annotations

from typing import Any, Iterable, Iterator  # noqa: UP035  Python 3.8

from .bulk import Bulk
from .insert import BATCH, batch_size, insert
from .jsonstream import FixtureError, objects
from .lookups import NaturalKeys, OldIds
from .rebuild import Rebuild
from .registry import ALIAS, NATURAL_PRIMARY
from .tables import on_view


class Load:
    """Gathers what comes, and writes it."""

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
        self.copied: dict[str, int] = {}
        self.bulk = Bulk(connection, self._before_copy, self._copied, self._not_copied)
        self.app = ""

    def member(self, app: str, chunks: Iterator[bytes]) -> None:
        """Given an app and the bytes of its fixture, save its objects.

        :raises FixtureError: the fixture holds something else, or something that cannot be saved
        """
        self.app = app
        try:
            with self.natural_keys.remembered():
                try:
                    self._save_all(objects(chunks, bulk=self.bulk.take))
                finally:
                    self.bulk.wait()  # what is wrong with earlier objects comes first
        except FixtureError as error:
            raise FixtureError(f"{app}.json: {error}") from None

    def _save_all(self, source: Iterable[dict[str, Any]]) -> None:
        from django.core.serializers.python import Deserializer

        checked = (self._checked(found) for found in source)
        for deserialized in Deserializer(checked, using=ALIAS, handle_forward_references=True):
            self._save(deserialized)
        self.bulk.wait()
        self.flush()

    def _before_copy(self, model: Any) -> None:
        self.flush()
        self.natural_keys.forget(model)

    def _copied(self, model: Any, count: int) -> None:
        label = model._meta.label_lower
        self.touched.add(model)
        self.counts[label] = self.counts.get(label, 0) + count
        self.copied[label] = self.copied.get(label, 0) + count

    def _not_copied(self, text: str) -> None:
        self._save_all(objects([text.encode()]))

    def finish(self, rebuild: Rebuild, exactly: list[Any]) -> None:
        """Save what had to wait for later objects, check all foreign keys, set the sequences.

        :param rebuild: what was taken away for the time of the load
        :param exactly: models that are to hold what the archive says and nothing else
        """
        from django.core.management.color import no_style

        for deserialized in self.deferred:
            deserialized.save_deferred_fields(using=ALIAS)
        rebuild.restore()
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
                for start in range(0, len(unwanted), BATCH):
                    rows = QuerySet(model, using=ALIAS).filter(pk__in=unwanted[start : start + BATCH])
                    rows._raw_delete(ALIAS)

    def _checked(self, found: dict[str, Any]) -> dict[str, Any]:
        """Given an object of a fixture, return it if this application knows it and it is of this app."""
        from django.apps import apps

        label = found.get("model")
        if not isinstance(label, str) or not isinstance(found.get("fields"), dict):
            raise FixtureError("an object without model or fields")
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError):
            raise FixtureError(f"this application has no model {label!r}") from None
        if model._meta.app_label != self.app:
            raise FixtureError(f"it holds an object of {model._meta.label_lower}")
        fields = {field.name for field in model._meta.get_fields()}
        unknown = sorted(set(found["fields"]) - fields)
        if unknown:
            raise FixtureError("model {} has no field {}".format(model._meta.label_lower, ", ".join(unknown)))
        self.bulk.learn(model, found)
        return self.old_ids.translate(model, found)

    def _save(self, deserialized: Any) -> None:
        from django.db import router

        model = type(deserialized.object)
        if not router.allow_migrate_model(ALIAS, model) or self._is_on_view(model):
            return
        self.touched.add(model)
        self.counts[model._meta.label_lower] = self.counts.get(model._meta.label_lower, 0) + 1
        if model not in self.batches:
            self.batches[model] = batch_size(self.connection, model)
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
                insert(batch)
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
