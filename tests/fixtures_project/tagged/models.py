"""Models that use third-party apps."""

from __future__ import annotations

from django.db import models
from simple_history.models import HistoricalRecords
from taggit.managers import TaggableManager


class Article(models.Model):
    title = models.CharField(max_length=100)
    written = models.DateTimeField(null=True)
    tags = TaggableManager()
    history = HistoricalRecords()
