"""What an application may do to a model so that its rows no longer follow from the fixture alone: each shouts."""

from __future__ import annotations

from django.db import models
from django.db.models import signals


def its_setattr(model):
    def shout(self, name, value):
        object.__setattr__(self, name, value.upper() if name == "name" else value)

    model.__setattr__ = shout


def its_init(model):
    original = model.__init__

    def shout(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.name = self.name.upper()

    model.__init__ = shout


def its_metaclass(model):
    def shout(cls, *args, **kwargs):
        made = type.__call__(cls, *args, **kwargs)
        if cls is model:
            made.name = made.name.upper()
        return made

    type(model).__call__ = shout


def its_pre_init(model):
    def shout(sender, kwargs, **_):
        if "name" in kwargs:
            kwargs["name"] = kwargs["name"].upper()

    signals.pre_init.connect(shout, sender=model, weak=False)


def its_post_init(model):
    def shout(sender, instance, **_):
        instance.name = instance.name.upper()

    signals.post_init.connect(shout, sender=model, weak=False)


def its_save_base(model):
    original = model.save_base

    def shout(self, *args, **kwargs):
        self.name = self.name.upper()
        original(self, *args, **kwargs)

    model.save_base = shout


def its_attribute(model):
    class Shouting:
        def __get__(self, instance, owner):
            return self if instance is None else instance.__dict__["name"].upper()

        def __set__(self, instance, value):
            instance.__dict__["name"] = value

    model.name = Shouting()


class Loud(models.CharField):
    def get_prep_value(self, value):
        return value.upper()


def a_field_of_its_own(model):
    model._meta.get_field("name").__class__ = Loud


def _shouting(name):
    def change(model):
        field = model._meta.get_field("name")
        original = getattr(field, name)
        setattr(field, name, lambda value, *args, **kwargs: original(value.upper(), *args, **kwargs))

    return change


its_to_python = _shouting("to_python")
its_get_prep_value = _shouting("get_prep_value")
its_get_db_prep_value = _shouting("get_db_prep_value")
its_get_db_prep_save = _shouting("get_db_prep_save")


def a_backend_of_its_own(model):
    from django.db import connections
    from django.db.backends.postgresql.operations import DatabaseOperations

    class Operations(DatabaseOperations):
        def adapt_datefield_value(self, value):
            return super().adapt_datefield_value(value)

    connections["default"].ops.__class__ = Operations
