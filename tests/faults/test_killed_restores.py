"""A restore is killed at every boundary of every step: the live database is what it was, or what was restored."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from checkniner_backups.openpgp.keyring import session_key

from tests.plugins.faulty import Faulty
from tests.restore_command import ADMIN_URL
from tests.ticking import newest_key, truth

STEPS = (
    "restore/workflow:administrator",
    "archive/origin:check_origin",
    "restore/databases:Databases.create",
    "postgres/admin:create_database",
    "postgres/admin:create_extensions",
    "restore/sql:_prepared_schemas",
    "postgres/load:load_sql",
    "verify/database:verify_sql",
    "restore/workflow:_Commands.__enter__",
    "backup/safety:save_before",
    "storage/s3:Store.upload",
    "restore/databases:Databases.swap",
    "restore/databases:Databases._settle",
    "postgres/admin:swap",
    "backup/safety:save_between",
    "restore/report:Report.lines",
)
FIXTURES = (
    "django_app/interpreter:Interpreter.launch",
    "restore/fixtures:choose",
    "django_app/process:FixturesProcess.load",
    "verify/fixtures:verify_fixtures",
    "postgres/admin:swap",
)
POINTS = [("sql", f"{side} {step}") for step in STEPS for side in ("before", "after")]
POINTS += [("fixtures", f"{side} {step}") for step in FIXTURES for side in ("before", "after")]
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
pytestmark = pytest.mark.timeout(240)


@pytest.mark.pair(7, fault="number", place="point")
@pytest.mark.parametrize("point", POINTS, ids=": ".join)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
def test_the_live_database_is_whole(faulty: Faulty, number: signal.Signals, point: tuple[str, str]) -> None:
    kind, place = point
    database = faulty.application.database
    faulty.change()
    saved = truth(faulty.application)
    assert faulty.server.run("backup", "--force").returncode == 0
    archive, secret = fetched(faulty)
    faulty.change()
    now = truth(faulty.application)
    environment = {ADMIN_URL: database.cluster.admin_url()}
    words = ("restore", "--file", archive, "--session-key-fd", "0", "--yes", "--source", kind)
    done = faulty.run({"point": place, "signal": number}, *words, environment=environment, input=secret)
    assert faulty.was_reached(), "there is no such point any more"
    faulty.settle()
    found = truth(faulty.application)
    assert found in (saved, now), "neither the data before the restore nor the archive's"
    if done.returncode == 0:
        assert found == saved
    else:
        assert done.returncode in (-number, 128 + number), done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    # What was replaced is kept, and in the store.
    if found == saved:
        kept = [name for name in _databases(faulty) if "_before_" in name]
        assert kept, _databases(faulty)
    # The next one ends well, and leaves no half-made database.
    again = faulty.server.application.owner.run(
        [faulty.server.command, "--environment", faulty.server.environment_file, *words],
        environment=environment, input=secret, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr[-3000:]
    assert truth(faulty.application) == saved
    assert not [name for name in _databases(faulty) if "_restoring_" in name]
    faulty.check(faulty.server.run("run", "--json", check=False), 0)


def fetched(faulty: Faulty) -> tuple[Path, str]:
    """Bring the newest archive to the server; return its path and its session key."""
    key = newest_key(faulty.server)
    path = faulty.folder / Path(key).name
    path.write_bytes(faulty.server.store.client().get_object(Bucket=faulty.server.bucket, Key=key)["Body"].read())
    faulty.application.owner.own(path)
    return path, session_key(path, faulty.keys.keyring.home)


def _databases(faulty: Faulty) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    cluster = faulty.application.database.cluster
    return [row[0] for row in cluster.execute(query, [faulty.application.database.name])]
