"""A tick is killed at every boundary of every step, by SIGKILL and by SIGTERM, after the data has changed."""

from __future__ import annotations

import signal

import pytest

from tests.plugins.faulty import Faulty

STEPS = (
    "cli/main:_settings",
    "state/folder:State._remove_work",
    "state/folder:State.sweep",
    "django_app/sources:application_dsn",
    "backup/changes:comparable",
    "backup/publish:check_store",
    "backup/tick:check_snapshot",
    "state/folder:State.work_folder",
    "postgres/snapshot:_begin",
    "postgres/snapshot:_lock",
    "backup/detect:_Attempt._check_rows",
    "django_app/interpreter:Interpreter.launch",
    "backup/dump:_Sql.read",
    "archive/writer:MemberWriter.close",
    "backup/dump:_Fixtures.read",
    "backup/detect:_Attempt._check_everything",
    "backup/manifests:signed",
    "backup/manifests:write_manifest",
    "openpgp/keyring:Keyring.usable_for_encryption",
    "archive/writer:_write_all",
    "archive/writer:pack",
    "archive/writer:point_latest",
    "backup/publish:drop_superseded",
    "storage/s3:Store._put",
    "storage/s3:Store.look",
    "storage/s3:Store.upload",
    "state/last_backup:Candidate.published",
    "state/folder:State.store_newer",
    "history/record:keep",
    "cli/scheduled:_Tick.ended",
)
POINTS = [f"{side} {step}" for step in STEPS for side in ("before", "after")]
POINTS += [f"before replace #{number}" for number in range(1, 9)]
POINTS += [f"before fsync #{number}" for number in range(1, 13)]
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
pytestmark = pytest.mark.timeout(120)


@pytest.mark.pair(2, fault="number", place="point")
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda each: each.name)
def test_the_next_tick_saves_what_this_one_would_have(faulty: Faulty, number: signal.Signals, point: str) -> None:
    # Each tick looks into the store, so that this step is there too.
    faulty.server.write_environment(CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0")
    faulty.change()
    done = faulty.run({"point": point, "signal": number}, "run")
    assert faulty.was_reached(), "there is no such point any more"
    # Where it ended after its work was done, it ended well.
    ends = (-number,) if number == signal.SIGKILL else (128 + number, 0)
    faulty.check(done, *ends)
