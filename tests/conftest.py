"""Shared fixtures live in `tests/plugins/`, one file for each thing: whoever adds a file adds its fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The engine, Ansible and PostgreSQL's programs all speak the caller's locale; tests compare their words.
os.environ["LC_ALL"] = "C.UTF-8"
os.environ.pop("LANGUAGE", None)
for _name in [name for name in os.environ if name.startswith(("PG", "DJANGO_", "CHECKNINER_", "S3_", "BACKUPS_"))]:
    del os.environ[_name]

pytest.register_assert_rewrite("tests.plugins")  # they import each other before pytest gets to them
pytest_plugins = [
    f"tests.plugins.{file.stem}" for file in sorted((Path(__file__).parent / "plugins").glob("[a-z]*.py"))
]
