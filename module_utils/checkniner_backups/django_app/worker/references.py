"""Whether the rows that a part of an archive refers to are here the rows that they were.

The fixture of an app names rows of other apps by their primary keys. Where the other apps are not loaded, another row
may have such a key here: a user who was removed and entered anew, a site that a migration has made. What identifies a
row beside its key are its unique fields: where none of them is as the archive has it, it is another row.
"""

from __future__ import annotations

from typing import Any

from .insert import BATCH
from .registry import ALIAS, auto_many_to_many, is_natural


def referenced(models: list[Any]) -> dict[Any, list[Any]]:
    """Given models, return those of other apps that they refer to by primary key, each with the fields that do."""
    own = {model._meta.app_label for model in models}
    found: dict[Any, list[Any]] = {}
    for model in models:
        fields = list(model._meta.local_concrete_fields)
        for field in auto_many_to_many(model):
            through = field.remote_field.through._meta
            fields.append(through.get_field(field.m2m_reverse_field_name()))
        for field in fields:
            remote = field.remote_field.model._meta.concrete_model if field.remote_field else None
            if remote is None or remote._meta.app_label in own or is_natural(remote):
                continue
            if field.target_field.primary_key:
                found.setdefault(remote, []).append(field)
    return found


def _identities(model: Any) -> list[list[Any]]:
    """Given a model, return the groups of plain fields that identify a row of its table."""
    from django.db import models

    plain = (models.CharField, models.TextField, models.IntegerField, models.UUIDField)
    fields = {
        field.name: field
        for field in model._meta.local_concrete_fields
        if isinstance(field, plain) and not field.primary_key and not field.remote_field
    }
    groups = [[field.name] for field in fields.values() if field.unique]
    groups += [list(names) for names in model._meta.unique_together]
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and not constraint.condition:
            groups.append(list(constraint.fields))
    return [[fields[name] for name in names] for names in groups if names and set(names) <= set(fields)]


class References:
    """Compares the rows of other apps, as their fixtures tell them, with those that are here."""

    def __init__(self, models: list[Any]) -> None:
        """:param models: those that are loaded"""
        self.referring = referenced(models)
        self.identities = {model: _identities(model) for model in self.referring}
        self.by_label = {model._meta.label_lower: model for model in self.referring}
        self.waiting: dict[Any, dict[Any, Any]] = {}
        self.others: dict[Any, dict[Any, str]] = {}

    def learn(self, found: dict[str, Any]) -> None:
        """Given an object of a fixture that is not loaded, compare it, if it can be referred to."""
        model = self.by_label.get(str(found.get("model")).lower())
        if model is None or not self.identities[model] or not isinstance(found.get("fields"), dict):
            return
        waiting = self.waiting.setdefault(model, {})
        waiting[model._meta.pk.to_python(found.get("pk"))] = found["fields"]
        if len(waiting) >= BATCH:
            self._compare(model)

    def _compare(self, model: Any) -> None:
        from django.db.models import QuerySet

        waiting, groups = self.waiting.pop(model, {}), self.identities[model]
        fields = list({field.name: field for group in groups for field in group}.values())
        rows = QuerySet(model, using=ALIAS).filter(pk__in=list(waiting))
        for key, *values in rows.values_list("pk", *[field.name for field in fields]):
            archived = waiting.get(key)
            if archived is None:  # a key that the database finds equal, and that is written in another way
                continue
            then = {field: field.to_python(archived.get(field.name)) for field in fields}
            now = dict(zip(fields, values))  # noqa: B905  Python 3.8
            known = [group for group in groups if all(then[field] is not None for field in group)]
            if known and all(any(then[field] != now[field] for field in group) for group in known):
                # Names alone: a unique value may be a secret.
                differ = sorted({field.name for group in known for field in group if then[field] != now[field]})
                self.others.setdefault(model, {})[key] = ", ".join(differ)

    def found(self) -> list[str]:
        """Return the rows that what was loaded refers to, and that are other rows than they were."""
        from django.db.models import QuerySet

        for model in list(self.waiting):
            self._compare(model)
        lines: set[str] = set()
        for model, others in self.others.items():
            keys = list(others)
            for field in self.referring[model]:
                for start in range(0, len(keys), BATCH):
                    rows = QuerySet(field.model, using=ALIAS).filter(
                        **{field.attname + "__in": keys[start : start + BATCH]}
                    )
                    for key in rows.values_list(field.attname, flat=True).distinct():
                        lines.add(f"{model._meta.label_lower} {key} (another {others[key]})")
        return sorted(lines)
