"""Other settings for the example application, over its own."""

from __future__ import annotations

from sandbox.application import Application

_ROUTED = """
import os
DATABASES["other"] = {**DATABASES["default"], "NAME": "elsewhere"}
DATABASE_ROUTERS = ["checkniner.other.Router"]
class Router:
    def db_for_read(self, model, **hints):
        return "other" if model._meta.label_lower in os.environ["ELSEWHERE"].split() else None
    db_for_write = db_for_read
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return (f"{app_label}.{model_name}" in os.environ["ELSEWHERE"].split()) == (db == "other")
"""


def set_over(application: Application, code: str) -> dict[str, str]:
    """Given the application and Python code, return the environment in which the code comes after its settings."""
    module = application.path / "checkniner" / "other.py"
    module.write_text(f"from .settings import *\n{code}")
    application.owner.own(module)
    return {"DJANGO_SETTINGS_MODULE": "checkniner.other"}


def keep_elsewhere(application: Application, *labels: str) -> dict[str, str]:
    """Given the application and labels of models, return the environment in which a router keeps them elsewhere."""
    return {**set_over(application, _ROUTED), "ELSEWHERE": " ".join(labels)}
