"""Whether Django would do anything between a model's columns and its fixture that SQL would miss."""

from __future__ import annotations

import inspect
from typing import Any

from .columns import NotEligibleError
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
    receivers = signals.post_init._live_receivers(model)
    if receivers and isinstance(receivers[0], list):  # Django 5: (synchronous, asynchronous)
        receivers = [*receivers[0], *receivers[1]]
    if any(getattr(found, "__func__", None) is not ImageField.update_dimension_fields for found in receivers):
        raise NotEligibleError(f"{label} has receivers of post_init")


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
