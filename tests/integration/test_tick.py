"""A tick on real parts: saved when the business data changed, and only then."""

from __future__ import annotations

import tests.plugins.application as plugin
from sandbox.server import Server

RunningApplication = plugin.RunningApplication


def test_a_tick_saves_what_changed_and_only_that(server: Server, application: RunningApplication) -> None:
    first = server.tick()
    assert first["saved"]
    assert server.keys() == [first["key"]]

    again = server.tick()
    assert (again["saved"], again["look"]) == (False, "mark")

    application.change_noise()
    noise = server.tick()
    assert (noise["saved"], noise["look"]) == (False, "rows")
    assert server.tick()["look"] == "mark"

    application.change()
    changed = server.tick()
    assert changed["saved"]
    assert "checkouts_airstrip" in changed["reason"]
    assert server.keys() == [first["key"], changed["key"]]
    assert not (server.state_path / "work").exists()
