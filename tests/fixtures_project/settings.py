"""A Django project with all kinds of models, for the tests of fixtures: any Django from 3.2 on."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

_url = urlsplit(os.environ["DATABASE_URL"])

SECRET_KEY = os.environ["SECRET_KEY"]
USE_TZ = os.environ.get("PROJECT_USE_TZ", "1") == "1"
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.admin",
    "kinds",
    "unusual",
]
if find_spec("taggit") and find_spec("simple_history"):
    INSTALLED_APPS += ["taggit", "simple_history", "tagged"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if _url.scheme == "sqlite":
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _url.path}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _url.path[1:],
            "USER": _url.username,
            "PASSWORD": unquote(_url.password or ""),
            "HOST": _url.hostname,
            "PORT": _url.port,
        }
    }
SILENCED_SYSTEM_CHECKS = [f"admin.E{number}" for number in (403, 406, 408, 409, 410)] + ["fields.E210"]
sys.stdout.write("settings write to stdout, too\n")
if os.environ.get("PROJECT_FAIL"):
    raise RuntimeError("the secret is " + SECRET_KEY)
if os.environ.get("PROJECT_SNEAKY"):
    from django.core.serializers.python import Serializer

    _original = Serializer.handle_field

    def _handle_field(self, obj, field):
        _original(self, obj, field)
        if field.name == "slug":
            self._current[field.name] = "SNEAKY"

    Serializer.handle_field = _handle_field
