"""The documentation's site: built strictly, and with a page for everything that has one."""

from __future__ import annotations

import html
from pathlib import Path

import pytest

from release import site
from release.project import files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A link that leads nowhere fails here."""
    output = tmp_path_factory.mktemp("site")
    assert site.build(output) == 0
    return output


def test_every_document_has_a_page(built: Path) -> None:
    documents = [path for path in files("docs") if path.suffix == ".md"]
    assert len(documents) > 5
    for path in [*documents, Path("README.md"), Path("CONTRIBUTING.md")]:
        assert (built / path.with_suffix(".html")).is_file(), path


def test_modules_and_commands_have_their_own_words(built: Path) -> None:
    modules = html.unescape((built / "modules.html").read_text())
    for path in files("library"):
        assert f"{path.stem}</a>" in modules
    commands = html.unescape((built / "command-line.html").read_text())
    assert "exit status:" in commands
    for name in ("run", "backup", "restore", "status"):
        assert f"usage: checkniner-backups {name}" in commands


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "modules", lambda: "# Modules\n\n[nowhere](docs/no-such-page.md)\n")
    assert site.build(tmp_path) != 0
