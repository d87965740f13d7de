"""A database router for the example application, which keeps some models out of its database."""

from __future__ import annotations

from sandbox.application import Application

_SETTINGS = """
import os
from .settings import *
DATABASES["other"] = {**DATABASES["default"], "NAME": "elsewhere"}
DATABASE_ROUTERS = ["checkniner.routed.Router"]
class Router:
    def allow_migrate(self, db, app_label, model_name=None, **hints):
        return (f"{app_label}.{model_name}" in os.environ["ELSEWHERE"].split()) == (db == "other")
"""


def keep_elsewhere(application: Application, *labels: str) -> dict[str, str]:
    """Given the application and labels of models, return the environment in which a router keeps them elsewhere."""
    module = application.path / "checkniner" / "routed.py"
    module.write_text(_SETTINGS)
    application.owner.own(module)
    return {"DJANGO_SETTINGS_MODULE": "checkniner.routed", "ELSEWHERE": " ".join(labels)}
