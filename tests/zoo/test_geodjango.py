"""GeoDjango: geometries and rasters' reference systems, where a PostGIS is installed; nothing here installs one."""

from __future__ import annotations

import subprocess
from ctypes.util import find_library
from pathlib import Path

import pytest

from sandbox.postgres import find_binaries

from .project import Project
from .rounds import Rounds

_MODELS = """
from django.contrib.gis.db import models


class Place(models.Model):
    name = models.CharField(max_length=40)
    point = models.PointField(geography=True)
    area = models.MultiPolygonField(srid=25832, null=True)
    path = models.LineStringField(dim=3, null=True)
"""
_FILL = """
from django.contrib.gis.geos import LineString, MultiPolygon, Point, Polygon
from places.models import Place
for n in range(50):
    square = Polygon(((n, 0), (n, 1), (n + 1 / 3, 1), (n, 0)), srid=25832)
    Place.objects.create(
        name=f"Place {n}", point=Point(10 + n / 7, 50 - n / 3, srid=4326),
        area=MultiPolygon(square, srid=25832) if n % 2 else None,
        path=LineString((0, 0, n), (1, 1, n / 9), srid=4326) if n % 3 else None)
"""


def _missing() -> str:
    shared = subprocess.run([find_binaries() / "pg_config", "--sharedir"], capture_output=True, text=True, check=False)
    there = Path(shared.stdout.strip() or "/nowhere", "extension", "postgis.control").exists()
    libraries = [name for name in ("gdal", "geos_c") if not find_library(name)]
    return ", ".join([*([] if there else ["PostGIS"]), *libraries])


@pytest.mark.applications
@pytest.mark.skipif(bool(_missing()), reason=f"not installed: {_missing()}")
class TestGeoDjango(Rounds):
    project = Project(
        requirements="",
        settings="""
DATABASES["default"]["ENGINE"] = "django.contrib.gis.db.backends.postgis"
INSTALLED_APPS = ["places", "django.contrib.gis", *DJANGO_APPS]
""",
        files={"places/models.py": _MODELS, "places/migrations/__init__.py": ""},
        fill=_FILL,
        extensions=("postgis",),
        commands=("makemigrations --verbosity=0 places", "migrate --verbosity=0"),
    )
