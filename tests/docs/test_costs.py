"""The tables of costs in docs/performance.md are what the script prints."""

from __future__ import annotations

import pytest

from bench import costs

from .blocks import ROOT


def test_the_tables_are_those_of_the_script() -> None:
    page = (ROOT / "docs" / "performance.md").read_text().splitlines()
    assert not [line for line in costs.lines() if line not in page]


def test_a_month_of_all_and_then_the_last_of_each_day_is_kept() -> None:
    assert costs.kept(1) < costs.kept(12) < costs.kept(288)
    assert costs.kept(288) - costs.kept(12) == pytest.approx(30 * (288 - 12), rel=0.01)
