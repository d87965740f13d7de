"""timeline.yml without the server, and the archive that restore.yml -e before_loss= takes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.plugins.operated import Operated
from tests.restoring import assert_untouched, digest_of


def words(text: str) -> str:
    return " ".join(text.replace('",', " ").replace('"', " ").split())


def test_when_it_broke_and_the_archive_before(operated: Operated, tmp_path: Path) -> None:
    for _ in range(3):
        operated.change()
    operated.tick()
    # Other tests' restores have left safety backups below a folder of their own.
    before = max(key for key in operated.stored() if "before-restore" not in key)
    digests = digest_of(operated.database)
    operated.database.execute(
        "DELETE FROM checkouts_airstrip WHERE id IN"
        " (SELECT id FROM checkouts_airstrip WHERE name = 'Changed' ORDER BY id DESC LIMIT 3)"
    )
    operated.tick()
    rows = operated.database.execute("SELECT count(*) FROM checkouts_airstrip")[0][0]
    operated.control.others = {}
    kept = dict(operated.control.variables)
    try:
        # The server is gone: the store and this machine are enough.
        operated.control.variables |= {"ansible_connection": "ssh", "ansible_host": "192.0.2.1"}
        output = tmp_path / "changes.json"
        told = operated.control.play("timeline.yml", "-e", "table=checkouts.Airstrip", "-e", f"output={output}")
    finally:
        operated.control.variables.clear()
        operated.control.variables |= kept
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"checkouts_airstrip {rows + 3} -> {rows} -3 rows LOSS" in words(told.stdout)
    assert output.stat().st_mode & 0o777 == 0o600
    last = json.loads(output.read_text())["server"][-1]
    assert (last["difference"], last["loss"], last["previous"]) == (-3, True, before.removeprefix("db/"))

    digest, target = digest_of(operated.database), f"{operated.database.name}_before"
    done = operated.restore("-e", "source=sql", "-e", "before_loss=airstrip", "-e", f"target_database={target}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"the last loss of checkouts_airstrip is in the archive of {last['created'][:10]}" in done.stdout
    assert f"restoring {before} of" in words(done.stdout)
    assert digest_of(operated.database, target) == digests
    assert_untouched(operated, digest)
