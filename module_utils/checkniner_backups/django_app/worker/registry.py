"""Which apps and models there are, and in which order they are dumped and loaded."""

from __future__ import annotations

from typing import Any

ALIAS = "default"
"""The one connection that is backed up: the one of `DATABASE_URL`."""

NATURAL_PRIMARY = ("contenttypes.ContentType", "auth.Permission")
"""`migrate` makes their rows by itself, under any ids: they are known by natural key, everything else keeps its key."""


def dumped_models(config: Any) -> list[Any]:
    """Given an app's configuration, return the models that `dumpdata` writes for it, in its order."""
    from django.core.serializers import sort_dependencies
    from django.db import router

    if config.models_module is None:
        return []
    models = sort_dependencies([(config, None)], allow_cycles=True)
    return [model for model in models if not model._meta.proxy and router.allow_migrate_model(ALIAS, model)]


def models_elsewhere() -> dict[str, dict[str, Any]]:
    """Return the models that are in no fixture, by app and label: a database router keeps them out of `ALIAS`.

    Each with its tables, and with `read_here`: whether the router reads it from `ALIAS` all the same. A router of
    tenants does: it lets no migration make the table in the schema that Django is connected to.
    """
    from django.apps import apps
    from django.db import router

    found: dict[str, dict[str, Any]] = {}
    for model in apps.get_models():
        if not model._meta.proxy and not router.allow_migrate_model(ALIAS, model):
            through = [field.remote_field.through._meta.db_table for field in auto_many_to_many(model)]
            found.setdefault(model._meta.app_label, {})[model._meta.label_lower] = {
                "tables": [model._meta.db_table, *through],
                "read_here": router.db_for_read(model) == ALIAS,
            }
    return found


def is_natural(model: Any) -> bool:
    """Given a model, return whether a reference to it is written as its natural key: for `NATURAL_PRIMARY` alone.

    Natural keys of others are not to be trusted: they need not be unique, their row may be gone, some go in circles.
    """
    return model._meta.concrete_model._meta.label in NATURAL_PRIMARY


def key_by_name(model: Any) -> Any:
    """Given a model, return the model whose rows go by natural key and lend it their own; None if there is none.

    A row's own key is a number in its fixture: content types and permissions may have other numbers after a restore,
    and the row would belong to another one of them.
    """
    key = model._meta.pk
    while key.remote_field:
        model = key.remote_field.model
        if is_natural(model):
            return model
        key = model._meta.pk
    return None


def ordered_apps() -> dict[str, list[Any]]:
    """Return the models of each app that has some: those that others refer to by natural key first."""
    from django.apps import apps

    found = {config.label: dumped_models(config) for config in apps.get_app_configs()}
    first = [label.partition(".")[0] for label in NATURAL_PRIMARY if label.partition(".")[0] in found]
    return {label: found[label] for label in dict.fromkeys([*first, *found]) if found[label]}


def see_every_row() -> None:
    """Give models Django's plain base manager: by it Django follows a key to a row, and finds the row to update.

    One that hides rows would end a dump at the first key to such a row, and a load at the first that is saved twice.
    """
    from django.apps import apps
    from django.db.models import Manager

    for model in apps.get_models(include_auto_created=True):
        if type(model._base_manager) is not Manager:
            manager: Any = Manager()
            manager.name, manager.model, manager.auto_created = "_base_manager", model, True  # as Django makes it
            model._meta.base_manager = manager


def auto_many_to_many(model: Any) -> list[Any]:
    """Given a model, return its own many-to-many fields whose table Django made by itself."""
    return [
        field
        for field in model._meta.local_many_to_many
        if getattr(getattr(field.remote_field, "through", None), "_meta", None) is not None
        and field.remote_field.through._meta.auto_created
    ]


def describe(models_of: dict[str, list[Any]]) -> dict[str, Any]:
    """Given the models of each app, return what the engine wants to know about them, ready for JSON."""
    from django.apps import apps

    described: dict[str, Any] = {label: [_describe_model(model) for model in models_of[label]] for label in models_of}
    for label, descriptions in described.items():
        for model in apps.get_app_config(label).get_models():
            if model not in models_of[label]:
                descriptions.append(_describe_model(model))
    return described


def _describe_model(model: Any) -> dict[str, Any]:
    meta = model._meta
    return {
        "label": meta.label_lower,
        "table": meta.db_table,
        "proxy": meta.proxy,
        "managed": meta.managed,
        "fields": {field.name: field.column for field in meta.local_concrete_fields},
        "through": {field.name: field.remote_field.through._meta.db_table for field in auto_many_to_many(model)},
    }
