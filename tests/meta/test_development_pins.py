"""What bootstrap installs is what pyproject.toml asks for, every wheel pinned by its hash."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def test_development_requirements_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "requirements" / "development.txt").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    extras = project["optional-dependencies"]
    for line in [*project["dependencies"], *extras["control"], *extras["development"]]:
        requirement = Requirement(line)
        version = pinned.get(requirement.name.lower())
        assert version, f"{line} is not in requirements/development.txt: renew it, its first lines say how"
        assert requirement.specifier.contains(version), f"{line}, but {version} is pinned: renew the file"


def test_the_sites_requirements_hold_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "docs.txt").read_text(), re.MULTILINE)
    assert set(project["optional-dependencies"]["documentation"]) <= set(pinned)


@pytest.mark.parametrize("name", ["development", "docs"])
def test_every_development_requirement_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    for entry in re.split(r"\n(?=[a-z0-9-]+==)", text)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
