"""Models over all of Django's field types, plain ones and those that must be left to Django."""

from __future__ import annotations

import os
import uuid

from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Everything(models.Model):
    small = models.SmallIntegerField(null=True)
    whole = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    yes = models.BooleanField(null=True)
    name = models.CharField(max_length=200, default="")
    text = models.TextField(null=True)
    slug = models.SlugField(default="")
    email = models.EmailField(default="")
    url = models.URLField(default="")
    file_path = models.FilePathField(null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    price = models.DecimalField(max_digits=20, decimal_places=2, null=True)
    fine = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    number = models.FloatField(null=True)
    identity = models.UUIDField(null=True)
    address = models.GenericIPAddressField(null=True)
    file = models.FileField(null=True)
    picture = models.ImageField(null=True)
    blob = models.BinaryField(null=True)
    changed = models.DateTimeField(auto_now=True)
    user = models.ForeignKey(User, models.CASCADE, null=True)
    group = models.ForeignKey(Group, models.CASCADE, null=True)
    permission = models.ForeignKey(Permission, models.CASCADE, null=True)
    content_type = models.ForeignKey(ContentType, models.CASCADE, null=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    groups = models.ManyToManyField(Group, related_name="+")
    permissions = models.ManyToManyField(Permission, related_name="+")
    friends = models.ManyToManyField("self")
    tags = models.ManyToManyField("Tag")


class Tag(models.Model):
    """A text key, an order of its own, not unique, with nulls."""

    word = models.CharField(max_length=50, primary_key=True)
    weight = models.IntegerField(null=True)

    class Meta:
        ordering = ("-weight",)


class Keyed(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tag = models.ForeignKey(Tag, models.CASCADE)
    others = models.ManyToManyField("self", symmetrical=False)
    quoted = models.IntegerField(db_column="Odd name", default=0)


class Profile(models.Model):
    user = models.OneToOneField(User, models.CASCADE, primary_key=True)
    keyed = models.ForeignKey(Keyed, models.CASCADE, null=True)
    by_word = models.ForeignKey("Coded", models.CASCADE, null=True, to_field="code")


class Coded(models.Model):
    code = models.DecimalField(max_digits=8, decimal_places=3, unique=True)

    class Meta:
        db_table = "a Strange table"


class OnlyKey(models.Model):
    pass


class Odd(models.Model):
    """Left to Django: kinds of fields that SQL does not write."""

    lasts = models.DurationField(null=True)
    json = models.JSONField(null=True)
    tiny = models.DecimalField(max_digits=20, decimal_places=12, null=True)


class Shouting(models.CharField):
    def value_to_string(self, obj):
        return str(self.value_from_object(obj)).upper()

    def from_db_value(self, value, *_):
        return value if value is None else Word(value)


class Word:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


class Custom(models.Model):
    word = Shouting(max_length=20)


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    stars = models.IntegerField()


class FamousPlace(Place):
    class Meta:
        proxy = True


class Living(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(deleted=False)


class Soft(models.Model):
    name = models.CharField(max_length=50)
    deleted = models.BooleanField(default=False)
    objects = Living()


class RefersToSoft(models.Model):
    softs = models.ManyToManyField(Soft)


class Shelf(models.Manager):
    def get_by_natural_key(self, title):
        return self.get(title=title)


class Book(models.Model):
    title = models.CharField(max_length=50, unique=True)
    sequel = models.ForeignKey("self", models.CASCADE, null=True)
    objects = Shelf()

    def natural_key(self):
        return (self.title,)


class Reader(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, null=True)
    books = models.ManyToManyField(Book, related_name="readers")


class Note(models.Model):
    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.IntegerField()
    target = GenericForeignKey()


class Changed(models.Model):
    name = models.CharField(max_length=50)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = self.name.rstrip("!") + "!"


class Absent(models.Model):
    class Meta:
        managed = False
        db_table = "not_there"


if os.environ.get("PROJECT_VARIANT"):
    import variants

    getattr(variants, os.environ["PROJECT_VARIANT"])(Soft)
