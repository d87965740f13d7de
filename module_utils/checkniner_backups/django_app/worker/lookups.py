"""Natural keys and old ids: what a fixture's references mean in this database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Iterator  # noqa: UP035  Python 3.8

from .jsonstream import FixtureError
from .registry import ALIAS, NATURAL_PRIMARY

_REMEMBERED = 50_000
"""Natural keys that are kept in memory."""


class NaturalKeys:
    """Remembers which row a natural key means, so that a million references to ten users are ten queries."""

    def __init__(self, before_giving_up: Callable[[], bool]) -> None:
        """:param before_giving_up: saves objects that are waiting; returns whether there were some"""
        self.before_giving_up = before_giving_up
        self.known: dict[Any, dict[Any, Any]] = {}
        self.size = 0

    def forget(self, model: Any) -> None:
        """Given a model whose rows change, forget its keys."""
        if self.known:
            for known in [model, *model._meta.parents]:
                self.size -= len(self.known.pop(known, ()))

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """While this lasts, Django's deserializer asks here."""
        from django.core.serializers import base

        original_key, original_list = base.deserialize_fk_value, base.deserialize_m2m_values

        def one(field: Any, value: Any, using: str, forward: bool) -> Any:
            if not isinstance(value, (list, tuple)):
                return original_key(field, value, using, forward)
            try:
                key = (field.remote_field.field_name, tuple(value))
                known = self.known.setdefault(field.remote_field.model, {})
                if key in known:
                    return known[key]
            except TypeError:  # a nested list
                return original_key(field, value, using, forward)
            found = original_key(field, value, using, True)
            if found is base.DEFER_FIELD and (self.before_giving_up() or not forward):
                found = original_key(field, value, using, forward)
            if found is not base.DEFER_FIELD:
                self._remember(field.remote_field.model, key, found)
            return found

        def several(field: Any, values: Any, using: str, forward: bool) -> Any:
            found = original_list(field, values, using, forward)
            if found is base.DEFER_FIELD and self.before_giving_up():
                found = original_list(field, values, using, forward)
            return found

        base.deserialize_fk_value, base.deserialize_m2m_values = one, several
        try:
            yield
        finally:
            base.deserialize_fk_value, base.deserialize_m2m_values = original_key, original_list

    def _remember(self, model: Any, key: Any, found: Any) -> None:
        if self.size >= _REMEMBERED:
            self.known, self.size = {}, 0
        self.known.setdefault(model, {})[key] = found
        self.size += 1


class OldIds:
    """Archives of the old scripts name content types and permissions by ids that another database may not share.

    Such an object is matched by natural key; what refers to it by its old id is led to the row that was found.
    """

    def __init__(self) -> None:
        self.new_id: dict[str, dict[Any, Any]] = {label: {} for label in NATURAL_PRIMARY}
        self.waiting: Any = None

    def translate(self, model: Any, found: dict[str, Any]) -> dict[str, Any]:
        """Given an object of a fixture, return it in terms of this database.

        :raises FixtureError: it refers to an old id whose object has not come yet
        """
        fields = dict(found["fields"])
        for name, value in fields.items():
            remote = model._meta.get_field(name).remote_field
            label = remote.model._meta.label if remote else ""
            if label not in self.new_id:
                continue
            if isinstance(value, int):
                fields[name] = self._new(label, value)
            elif isinstance(value, list):
                fields[name] = [self._new(label, item) if isinstance(item, int) else item for item in value]
        if model._meta.label not in NATURAL_PRIMARY or found.get("pk") is None:
            return dict(found, fields=fields)
        self.waiting = found["pk"]
        return {"model": found["model"], "fields": fields}

    def _new(self, label: str, old: int) -> Any:
        if old not in self.new_id[label]:
            app = label.partition(".")[0]
            where = f"load {app}.json of the same archive before it, or restore from SQL"
            raise FixtureError(f"it names {label} {old} by its id: {where}")
        return self.new_id[label][old]

    def learn(self, found: dict[str, Any]) -> None:
        """Given an object of a fixture that is not loaded, remember which row here has its natural key, if one does."""
        from django.apps import apps
        from django.db.models import QuerySet

        label = found.get("model")
        fields = found.get("fields") or {}
        if found.get("pk") is None:  # an archive that names them by natural key
            return
        if label == "contenttypes.contenttype":
            wanted = {"app_label": fields.get("app_label"), "model": fields.get("model")}
        elif label == "auth.permission" and fields.get("content_type") in self.new_id["contenttypes.ContentType"]:
            content_type = self.new_id["contenttypes.ContentType"][fields["content_type"]]
            wanted = {"content_type_id": content_type, "codename": fields.get("codename")}
        else:
            return
        model = apps.get_model(label)
        row = QuerySet(model, using=ALIAS).filter(**wanted).values_list("pk", flat=True).first()
        if row is not None:
            self.new_id[model._meta.label][found.get("pk")] = row

    def saved(self, instance: Any) -> None:
        """Remember which id an object got that came with an old one."""
        if self.waiting is not None and instance._meta.label in self.new_id:
            self.new_id[instance._meta.label][self.waiting] = instance.pk
            self.waiting = None
