"""Models that Django alone would dump in part only, or in no definite order, or not at all."""

from __future__ import annotations

from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        ordering = ("name",)


class Badge(models.Model):
    """Its key refers to a model whose order has ties."""

    person = models.OneToOneField(Person, models.CASCADE, primary_key=True)
    number = models.IntegerField(default=0)


class Employee(Person):
    room = models.IntegerField(default=0)


class Visible(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(hidden=False)


class Known(models.Manager):
    def get_by_natural_key(self, name):
        return self.get(name=name)


class Hiding(models.Model):
    """Its base manager, which Django itself asks, hides rows."""

    name = models.CharField(max_length=20, unique=True)
    hidden = models.BooleanField(default=False)
    successor = models.ForeignKey("self", models.CASCADE, null=True)
    friends = models.ManyToManyField("self", symmetrical=False)
    objects = Known()
    visible = Visible()

    class Meta:
        base_manager_name = "visible"

    def natural_key(self):
        return (self.name,)


class Refers(models.Model):
    to = models.ForeignKey(Hiding, models.CASCADE)


if hasattr(models, "CompositePrimaryKey"):  # Django 5.2

    class Line(models.Model):
        pk = models.CompositePrimaryKey("order", "n", "day")
        order = models.ForeignKey(Person, models.CASCADE)
        n = models.IntegerField()
        day = models.DateField()
        text = models.CharField(max_length=20)

    class Remark(models.Model):
        """Refers to such a key in the way that Django's documentation shows."""

        line_order = models.IntegerField()
        line_n = models.IntegerField()
        line_day = models.DateField()
        line = models.ForeignObject(
            Line,
            models.DO_NOTHING,
            from_fields=("line_order", "line_n", "line_day"),
            to_fields=("order_id", "n", "day"),
        )
