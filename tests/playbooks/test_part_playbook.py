"""restore.yml -e into=live: the rows of some apps in the live database, as one transaction, between the commands."""

from __future__ import annotations

import json
from pathlib import Path

from tests.archives import archive
from tests.plugins.operated import Operated
from tests.restoring import stages_of

STRIPS = "SELECT id, ident, name FROM checkouts_airstrip ORDER BY id"
USERS = "SELECT id, first_name FROM auth_user ORDER BY id"


def test_some_apps_into_the_live_database(operated: Operated) -> None:
    operated.tick()
    strips = operated.database.execute(STRIPS)
    operated.database.execute("UPDATE checkouts_airstrip SET name = 'Wrong'")
    operated.database.execute("UPDATE auth_user SET first_name = 'Kept'")
    users = operated.database.execute(USERS)
    asked = ("-e", "source=fixtures", "-e", "apps=checkouts", "-e", "into=live")
    done = operated.restore(*asked)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "proven: fixtures of 1 apps" in done.stdout
    assert "in the live database, in one transaction" in done.stdout
    assert operated.database.execute(STRIPS) == strips
    assert operated.database.execute(USERS) == users
    assert any("before-restore" in key for key in operated.stored())

    assert stages_of(done.stdout) == ["save", "replace"]

    refused = operated.restore(*asked[:4], "-e", "into=x")
    assert refused.returncode != 0
    assert "checkniner_backups_restore_into" in refused.stdout
    assert operated.database.execute(STRIPS) == strips


def test_what_a_failing_command_leaves_is_told(operated: Operated, tmp_path: Path) -> None:
    operated.tick()
    strips = operated.database.execute(STRIPS)
    operated.database.execute("UPDATE checkouts_airstrip SET name = 'Wrong'")
    after = json.dumps({"checkniner_backups_post_restore_commands": [["sh", "-c", "echo no door >&2; exit 3"]]})
    asked = ("-e", "source=fixtures", "-e", "apps=checkouts", "-e", "into=live", "-e", after)
    done = operated.restore(*asked)
    assert done.returncode != 0
    words = " ".join(done.stdout.split())
    assert "the restore stopped (the rows were replaced before): sh -c 'echo no door" in words, done.stdout[-4000:]
    assert "ended with status 3: no door" in words
    assert "the running database is as it was" not in words
    assert operated.database.execute(STRIPS) == strips

    # What failed first comes first.
    operated.database.execute("UPDATE checkouts_airstrip SET name = 'Wrong'")
    notes = tmp_path / "notes.tar.gz"
    notes.write_bytes(archive({"checkniner.sql": b""}))
    done = operated.restore(*asked, "-e", f"archive_file={notes}", "-e", "unsigned=true")
    assert done.returncode != 0
    words = " ".join(done.stdout.split())
    told = "the restore stopped, and the running database is as it was: the archive holds no fixture of checkouts"
    assert told in words, done.stdout[-4000:]
    assert "HINT: it holds those of none" in words
    assert "And afterwards: sh -c" in words
    # And of a swap.
    done = operated.restore("-e", "source=sql", "-e", after)
    assert done.returncode != 0
    words = " ".join(done.stdout.split())
    assert f"the restore stopped (the swap was done before; what it replaced is kept as {operated.database.name}" in (
        words
    ), done.stdout[-4000:]
    assert operated.database.execute(STRIPS) == strips
