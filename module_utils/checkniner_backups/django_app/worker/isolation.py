"""A rehearsal runs the application's migrations: none of them may reach the services that the live application uses.

What the settings decide is decided here: caches are in this process's memory, mails go nowhere, task queues have a
broker in memory, and the other databases of the settings lead nowhere. Code that connects to a service by itself can
ask for the environment variable.
"""

from __future__ import annotations

import os

from .registry import ALIAS

REHEARSAL = "CHECKNINER_BACKUPS_REHEARSAL"
"""The environment variable that tells the application's code of a rehearsal."""


def isolate_if_rehearsed() -> None:
    """Change the settings, before Django is set up, where this is a rehearsal."""
    if not os.environ.get(REHEARSAL):
        return
    from django.conf import settings

    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    settings.CACHES = {alias: {**memory, "LOCATION": alias} for alias in settings.CACHES}
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    databases = dict(settings.DATABASES)
    for alias, database in databases.items():
        if alias != ALIAS:
            engine = database.get("ENGINE", "django.db.backends.dummy")
            databases[alias] = {"ENGINE": engine, "NAME": ":memory:", "HOST": "/nonexistent", "USER": "nobody"}
    settings.DATABASES = databases
    for name in dir(settings):
        if name.endswith("BROKER_URL"):
            setattr(settings, name, "memory://")
        elif name.endswith("RESULT_BACKEND"):
            setattr(settings, name, "cache+memory://")
        elif name == "CHANNEL_LAYERS":
            setattr(settings, name, {})
