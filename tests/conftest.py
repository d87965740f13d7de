"""Shared fixtures live in `tests/plugins/`, one file for each thing: whoever adds a file adds its fixtures.

What a few test files share, fixtures too, is in the modules beside this one; they import it by name.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# The engine, Ansible and PostgreSQL's programs all speak the caller's locale; tests compare their words.
os.environ["LC_ALL"] = "C.UTF-8"
os.environ.pop("LANGUAGE", None)
for _name in [name for name in os.environ if name.startswith(("PG", "DJANGO_", "CHECKNINER_", "S3_", "BACKUPS_"))]:
    del os.environ[_name]

# Whoever is started in the background, or by nohup, hands on that these are ignored: some tests send them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_HERE = Path(__file__).parent
_helpers = [f"tests.{file.stem}" for file in _HERE.glob("[a-z]*.py") if file.stem != "conftest"]
# Plugins import each other, and tests the helpers, before pytest gets to them; their asserts should tell as much.
pytest.register_assert_rewrite("tests.plugins", "tests.zoo", *_helpers)
pytest_plugins = [f"tests.plugins.{file.stem}" for file in sorted((_HERE / "plugins").glob("[a-z]*.py"))]
