"""A tick on real parts: saved when the business data changed, and only then."""

from __future__ import annotations

import tests.plugins.application as plugin
from sandbox.server import Server

RunningApplication = plugin.RunningApplication


def first_look_decides(server: Server) -> bool:
    """Tick until the mark alone says "unchanged": another database of the cluster may move it once or twice."""
    ticks = [server.tick()]
    while ticks[-1]["look"] != "mark" and len(ticks) < 5:
        ticks.append(server.tick())
    assert not any(tick["saved"] for tick in ticks)
    return bool(ticks[-1]["look"] == "mark")


def test_a_tick_saves_what_changed_and_only_that(server: Server, application: RunningApplication) -> None:
    first = server.tick()
    assert first["saved"]
    assert server.keys() == [first["key"]]

    assert first_look_decides(server)

    application.change_noise()
    noise = server.tick()
    assert (noise["saved"], noise["look"]) == (False, "rows")
    assert first_look_decides(server)

    application.change()
    changed = server.tick()
    assert changed["saved"]
    assert "checkouts_airstrip" in changed["reason"]
    assert server.keys() == [first["key"], changed["key"]]
    assert not (server.state_path / "work").exists()
