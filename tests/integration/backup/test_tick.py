"""A tick on real parts: saved when the business data changed, and only then."""

from __future__ import annotations

import tests.plugins.application as plugin
from sandbox.server import Server

RunningApplication = plugin.RunningApplication


def first_look_decides(server: Server) -> bool:
    """Tick until the token alone says "unchanged": another database of the cluster may move it once or twice."""
    ticks = [server.tick()]
    while ticks[-1]["check_level"] != "snapshot" and len(ticks) < 5:
        ticks.append(server.tick())
    assert not any(tick["saved"] for tick in ticks)
    return bool(ticks[-1]["check_level"] == "snapshot")


def test_a_tick_saves_what_changed_and_only_that(server: Server, application: RunningApplication) -> None:
    first = server.tick()
    assert first["saved"]
    assert server.keys() == [first["key"]]

    assert first_look_decides(server)

    application.change_noise()
    noise = server.tick()
    assert (noise["saved"], noise["check_level"]) == (False, "rows")
    assert first_look_decides(server)

    application.change()
    changed = server.tick()
    assert changed["saved"]
    assert "checkouts_airstrip" in changed["reason"]
    assert server.keys() == [first["key"], changed["key"]]
    assert not (server.state_path / "work").exists()


def a_new_server(server: Server) -> None:
    """The server was made again: nothing is remembered."""
    (server.state_path / "state.json").unlink()
    for archive in (server.state_path / "archives").iterdir():
        archive.unlink()


def test_a_new_server_s_empty_database_does_not_become_the_newest_archive(
    server: Server, application: RunningApplication
) -> None:
    first = server.tick()
    application.database.execute("TRUNCATE auth_user, auth_group, checkouts_airstrip, checkouts_aircrafttype CASCADE")
    a_new_server(server)
    for _ in range(2):
        failed = server.run("run", check=False)
        assert failed.returncode == 14, failed.stderr
        assert "auth, checkouts hold nothing on this server" in failed.stderr
        assert "HINT: restore that one" in failed.stderr
        assert server.keys() == [first["key"]]

    # With something in it, it is a server like any other; and who says so outright gets what was asked for.
    assert server.run("backup", "--force").returncode == 0
    assert len(server.keys()) == 2
    a_new_server(server)
    application.change()
    assert server.tick()["saved"]


def test_a_database_without_tables_is_no_backup(server: Server, application: RunningApplication) -> None:
    first = server.tick()
    application.database.execute("DROP SCHEMA public CASCADE")
    application.database.execute("CREATE SCHEMA public")
    for arguments in (["run"], ["backup", "--force"]):
        failed = server.run(*arguments, check=False)
        assert failed.returncode == 14, failed.stderr
        assert "has no tables" in failed.stderr
        assert server.keys() == [first["key"]]
