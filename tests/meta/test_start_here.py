"""The architecture page's table for who adds something: what it names is there."""

from __future__ import annotations

import re

from .source import ENGINE, ROOT

ROLE = ROOT / "roles" / "checkniner_backups"


def test_every_path_of_the_table_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("## Looking to add")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w.-]*[/.][\w./-]*)`", table.partition("| --- |")[2])
    assert len(named) > 20
    missing = [name for name in named if not any((folder / name).exists() for folder in (ROOT, ENGINE, ROLE))]
    assert not missing
