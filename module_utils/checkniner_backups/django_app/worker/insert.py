"""Objects into the database as Django's own queries: in batches, values as they are."""

from __future__ import annotations

from typing import Any

from .registry import ALIAS, NATURAL_PRIMARY, auto_many_to_many

BATCH = 500
"""Objects in one INSERT."""


def one_by_one(model: Any) -> bool:
    """Given a model, return whether something wants to see each object saved by itself."""
    from django.db import models

    meta = model._meta
    own_save = model.save_base is not models.Model.save_base
    to_itself = any(
        field.remote_field and field.remote_field.model._meta.concrete_model is meta.concrete_model
        for field in [*meta.local_fields, *meta.local_many_to_many]
        if hasattr(model, "natural_key")
    )
    return bool(meta.label in NATURAL_PRIMARY or meta.parents or meta.proxy or own_save or to_itself)


def batch_size(connection: Any, model: Any) -> int:
    """Given a model, return how many objects may go into one INSERT; 1 if something wants to see each one saved."""
    if one_by_one(model):
        return 1
    columns = [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]
    return min(BATCH, int(connection.ops.bulk_batch_size(columns, [None] * BATCH) or BATCH))


def insert(batch: list[Any]) -> None:
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
        for start in range(0, len(rows), BATCH):
            _raw_insert(through, [source, target], rows[start : start + BATCH])


def _raw_insert(model: Any, columns: list[Any], instances: list[Any]) -> None:
    from django.db.models import QuerySet

    QuerySet(model, using=ALIAS)._insert(instances, fields=columns, raw=True, using=ALIAS)
