"""Set-up rehearses a restore on the server, says what came of it, and fails at its end where a restore would fail."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.control import Control
from tests.plugins.application import RunningApplication

FULL = ("-e", "checkniner_backups_rehearsal=full")


def remembered(control: Control) -> dict[str, str]:
    """Return what the server remembers of its last rehearsal."""
    return dict(json.loads((Path(control.variables["checkniner_backups_state_path"]) / "rehearsal.json").read_text()))


def test_set_up_says_rehearsed_and_what_would_fail(control: Control, application: RunningApplication) -> None:
    done = control.play("setup-backups.yml", *FULL)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "REHEARSED in" in done.stdout
    assert "PROVEN" in done.stdout
    before = remembered(control)
    again = control.play("setup-backups.yml", *FULL)
    assert "changed=0" in again.stdout, again.stdout[-3000:]
    assert "REHEARSED in" in again.stdout  # the same one
    assert remembered(control) == before

    database = application.database
    database.execute("CREATE TABLE legacy (id integer)")
    cluster = database.cluster
    cluster.execute("ALTER TABLE legacy OWNER TO CURRENT_USER", database=database.name)
    cluster.execute(f"GRANT SELECT ON legacy TO {database.user}", database=database.name)
    (Path(control.variables["checkniner_backups_state_path"]) / "rehearsal.json").unlink()
    failing = control.play("setup-backups.yml", *FULL)
    said = " ".join(failing.stdout.split())
    assert failing.returncode != 0
    assert "everything is set up and saved, but NOT REHEARSED: a restore would fail" in said
    assert "PROVEN" in said  # all else was done before
    assert remembered(control)["verdict"] == "failed"
