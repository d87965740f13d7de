"""A Django project around somebody else's application, as a few lines of text: what its file says of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.application import EXAMPLE

_COMMON = """
import os
from pathlib import Path
import dj_database_url
BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
DATABASES = {"default": dj_database_url.parse(os.environ["DATABASE_URL"])}
DJANGO_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
ROOT_URLCONF = "project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
MEDIA_ROOT = BASE_DIR / "media"
USE_TZ = True
TIME_ZONE = "UTC"
"""
_REQUIREMENTS = "Django==5.2.19\ndj-database-url==3.1.2\npsycopg2-binary==2.9.13\n"
SETTINGS = "project.settings"


@dataclass(frozen=True)
class Project:
    """A project: what is installed, how it is set, and what fills its database.

    :param requirements: a line for each package, pinned; Django and what every project here needs comes before them
    :param settings: Python code behind `_COMMON`, which leaves out `INSTALLED_APPS`
    :param fill: Python code that is run where Django is set up, after the commands: it writes the rows
    :param files: more files of the project, by path
    :param extensions: that only a superuser may create; a restore is allowed to
    :param commands: of `manage.py`, in order: what makes the tables
    """

    requirements: str
    settings: str
    fill: str
    files: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ("migrate --verbosity=0",)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Given an empty folder, write the project there; return its path and that of its requirements."""
        path = folder / "project"
        texts = {"project/settings.py": _COMMON + self.settings, "project/urls.py": "urlpatterns = []\n", **self.files}
        for name, text in texts.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for package in {file.parent for file in path.rglob("*.py")} - {path}:
            (package / "__init__.py").touch()
        shutil.copy(EXAMPLE / "manage.py", path)
        requirements = folder / "requirements.txt"
        requirements.write_text(_REQUIREMENTS + self.requirements)
        return path, requirements
