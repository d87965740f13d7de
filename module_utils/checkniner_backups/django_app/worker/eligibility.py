"""Whether Django would do anything between a model's columns and its fixture, either way, that SQL would miss."""

from __future__ import annotations

import inspect
from typing import Any

from .columns import NotEligibleError
from .insert import one_by_one
from .registry import ALIAS


def check_model(model: Any) -> None:
    """Given a model, make sure that its instances are nothing but their columns.

    :raises NotEligibleError: code of the application's own could change what is read
    """
    from django.db import models, router
    from django.db.models import signals
    from django.db.models.fields.files import ImageField

    label = model._meta.label
    if model._meta.parents:
        raise NotEligibleError(f"{label} inherits from another model's table")
    if not router.allow_migrate_model(ALIAS, model):
        raise NotEligibleError(f"{label} is in another database")
    if getattr(model.from_db, "__func__", None) is not models.Model.from_db.__func__:
        raise NotEligibleError(f"{label} has a from_db of its own")
    for name in ("__init__", "__new__", "__getattribute__", "__getattr__", "__bool__", "__len__"):
        if getattr(model, name, None) is not getattr(models.Model, name, None):
            raise NotEligibleError(f"{label} has a {name} of its own")
    for field in model._meta.local_fields:
        if isinstance(field, ImageField) and (field.width_field or field.height_field):
            raise NotEligibleError(f"{label} keeps the size of an image")
    receivers = _receivers(signals.post_init, model)
    if any(getattr(found, "__func__", None) is not ImageField.update_dimension_fields for found in receivers):
        raise NotEligibleError(f"{label} has receivers of post_init")


def _receivers(signal: Any, model: Any) -> list[Any]:
    receivers = signal._live_receivers(model)
    if receivers and isinstance(receivers[0], list):  # Django 5: (synchronous, asynchronous)
        receivers = [*receivers[0], *receivers[1]]
    return list(receivers)


def check_descriptor(field: Any) -> None:
    """Given a field, make sure that its attribute is Django's own.

    :raises NotEligibleError: the application replaced it, with a property perhaps
    """
    attribute = inspect.getattr_static(field.model, field.attname, None)
    # A plain value, like AbstractBaseUser.is_active, is hidden by what the instance holds.
    if type(attribute) is not field.descriptor_class and hasattr(type(attribute), "__get__"):
        raise NotEligibleError(f"{field.name} has an attribute of its own kind")
    for name in ("value_from_object", "value_to_string", "to_python"):
        if name in vars(field):
            raise NotEligibleError(f"{field.name} has a {name} of its own")


def check_default_manager(model: Any) -> None:
    """Given the target of a many-to-many field, make sure that its default manager, which Django asks, sees all rows.

    :raises NotEligibleError: it may not
    """
    from django.db.models import Manager, QuerySet

    manager = model._default_manager
    if type(manager).get_queryset is not Manager.get_queryset or manager._queryset_class is not QuerySet:
        raise NotEligibleError(f"{model._meta.label} has a default manager of its own")


def check_model_on_load(model: Any) -> None:
    """Given a model, make sure that what `loaddata` puts into its table follows from the fixture alone.

    :raises NotEligibleError: code of the application's own could change what is written
    """
    from django.db import models
    from django.db.models import signals

    label = model._meta.label
    check_model(model)
    if one_by_one(model):
        raise NotEligibleError(f"{label} is saved one by one")
    if model.__setattr__ is not models.Model.__setattr__:
        raise NotEligibleError(f"{label} has a __setattr__ of its own")
    if type(model).__call__ is not type.__call__:
        raise NotEligibleError(f"{label} has a metaclass of its own")
    if _receivers(signals.pre_init, model):
        raise NotEligibleError(f"{label} has receivers of pre_init")


def check_field_on_load(field: Any) -> None:
    """Given a field, make sure that Django's own code alone stands between a value in a fixture and its column.

    :raises NotEligibleError: the application replaced some of it
    """
    check_descriptor(field)
    for name in ("get_prep_value", "get_db_prep_value", "get_db_prep_save"):
        if name in vars(field):
            raise NotEligibleError(f"{field.name} has a {name} of its own")


def check_operations(connection: Any) -> None:
    """Given Django's connection, make sure that values go to PostgreSQL as Django's own backend sends them.

    :raises NotEligibleError: another backend may send them in another way, or to another database
    """
    if connection.vendor != "postgresql":
        raise NotEligibleError("the database is not PostgreSQL")
    from django.db.backends.postgresql.operations import DatabaseOperations

    theirs = type(connection.ops)
    for name in dir(DatabaseOperations):
        if name.startswith("adapt_") and getattr(theirs, name) is not getattr(DatabaseOperations, name):
            raise NotEligibleError(f"the database backend has an {name} of its own")


def check_table_on_load(connection: Any, model: Any) -> None:
    """Given a model, make sure that COPY does with its table what INSERT does.

    :raises NotEligibleError: it is a view, or has rules
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relkind IN ('r', 'p') AND NOT relhasrules FROM pg_class WHERE oid = to_regclass(%s)",
            [connection.ops.quote_name(model._meta.db_table)],
        )
        found = cursor.fetchone()
    if not (found and found[0]):
        raise NotEligibleError(f"the table of {model._meta.label} is not a plain one")
