"""The tables of docs/fleet.md are what the simulation prints."""

from __future__ import annotations

from bench import arrivals

from .blocks import ROOT


def test_the_tables_are_those_of_the_simulation() -> None:
    page = (ROOT / "docs" / "fleet.md").read_text().splitlines()
    assert not [line for line in arrivals.lines(100) if line not in page]


def test_spreading_is_worth_its_words() -> None:
    spread, together = (arrivals.simulate(100, 12, each) for each in (True, False))
    assert spread.requests == together.requests
    assert together.busiest > 5 * spread.busiest
