"""Collection, role, wheel, engine and the list of changes speak of one version."""

from __future__ import annotations

import re

import yaml

from release import collection
from release.project import engine_version, metadata

from .source import ROOT


def test_every_part_states_the_same_version() -> None:
    version = engine_version()
    assert metadata()["version"] == version  # the wheel's, and what the role installs on a server
    assert collection.galaxy([])["version"] == version  # the collection's, and so the role's in it
    newest = re.search(r"^## .*?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == version


def test_the_role_states_no_version_of_its_own() -> None:
    told = yaml.safe_load((ROOT / "roles" / collection.ROLE / "meta" / "main.yml").read_text())["galaxy_info"]
    assert "version" not in told
