"""Collection, role, wheel, engine and the list of changes speak of one version."""

from __future__ import annotations

import re
from typing import Any

import yaml
from packaging.requirements import Requirement

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


def galaxy_info() -> dict[str, Any]:
    """Return what the role tells Galaxy of itself."""
    return dict(yaml.safe_load((ROOT / "roles" / collection.ROLE / "meta" / "main.yml").read_text())["galaxy_info"])


def test_the_role_states_no_version_of_its_own() -> None:
    assert "version" not in galaxy_info()


def test_the_role_says_who_made_it_and_what_it_is() -> None:
    told = galaxy_info()
    assert told["author"] == metadata()["authors"][0]["name"]
    assert told["license"] == metadata()["license"]["text"]
    assert len(told["description"]) > 30
    assert 3 <= len(told["galaxy_tags"]) <= 20  # more than 20 are refused
    assert all(re.fullmatch(r"[a-z0-9]+", tag) for tag in told["galaxy_tags"])


def test_the_role_names_the_ansible_and_the_debians_that_it_is_tried_with() -> None:
    told = galaxy_info()
    oldest = Requirement(*metadata()["optional-dependencies"]["control"]).specifier
    assert str(oldest) == f">={told['min_ansible_version']}"
    (debian,) = told["platforms"]
    tried = {
        platform["suite"]
        for path in ROOT.glob("molecule/*/molecule.yml")
        for platform in yaml.safe_load(path.read_text())["platforms"]
    }
    assert debian["name"] == "Debian"
    assert set(debian["versions"]) == tried
