"""A restore is rehearsed on the server, from what a tick has dumped: REHEARSED only what was tried and proven."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.server import Server
from tests.integration.restore.test_fixtures import add_to_models
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys
from tests.ticking import opened

pytestmark = pytest.mark.late("a rehearsal in the background is waited for")

NOT_REHEARSED = 17


@pytest.fixture
def rehearsing(server: Server) -> Iterator[Server]:
    """A server that rehearses; nothing of a rehearsal may be left at the end."""
    server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="full")
    yield server
    ended(server)
    assert left(server) == []


def left(server: Server) -> list[str]:
    """Return what of a dataset or of a throwaway server is there."""
    return [path.name for path in server.state_path.iterdir() if path.name.startswith((".rehearsal-", ".throwaway-"))]


def processes(server: Server) -> list[int]:
    """Return the processes that work in the folder of a throwaway server."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(server.state_path / ".throwaway-").encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def at_work(server: Server) -> bool:
    """Return whether a rehearsal holds its lock."""
    try:
        with (server.state_path / "rehearsal.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def ended(server: Server, seconds: float = 60) -> None:
    """Wait until no rehearsal runs or waits."""
    until = time.monotonic() + seconds
    while left(server) or processes(server) or at_work(server):
        assert time.monotonic() < until, (left(server), processes(server))
        time.sleep(0.1)


def rehearse(server: Server, *, status: int = 0) -> dict[str, Any]:
    """Rehearse, and return what came of it."""
    done = server.run("rehearse", "--json", check=False)
    assert done.returncode == status, done.stderr
    return dict(json.loads(done.stdout))


def remembered(server: Server) -> dict[str, Any]:
    """Return what the server remembers of its last rehearsal."""
    return dict(json.loads((server.state_path / "rehearsal.json").read_text()))


def test_a_tick_is_rehearsed_after_it_and_again_when_the_schema_changes(
    rehearsing: Server, application: RunningApplication, keys: Keys
) -> None:
    first = rehearsing.tick()
    assert first["saved"]
    ended(rehearsing)
    done = remembered(rehearsing)
    assert done["verdict"] == "rehearsed", done
    assert done["sql"].startswith("proven: ")
    assert done["fixtures"].startswith("proven: fixtures of")
    assert done["both"].startswith("equal: ")
    told = rehearsing.run("status").stdout
    assert "last rehearsal" in told
    assert "rehearsed" in told
    records = [key for key in rehearsing.keys() if key.endswith(".rehearsal.json")]  # noqa: SIM118
    assert len(records) == 1
    assert records[0].startswith("db/drills/")

    application.change()  # rows alone: the last rehearsal still tells
    second = rehearsing.tick()
    assert left(rehearsing) == []
    assert remembered(rehearsing) == done
    manifest = json.loads(opened(rehearsing, keys, second["key"])["manifest.json"])
    assert manifest["rehearsal"]["verdict"] == "rehearsed"
    assert "rehearsal" not in json.loads(opened(rehearsing, keys, first["key"])["manifest.json"])

    application.database.execute("CREATE INDEX more ON checkouts_airstrip (name)")
    application.change()
    assert rehearsing.tick()["saved"]
    ended(rehearsing)
    assert remembered(rehearsing)["at"] > done["at"]
    assert remembered(rehearsing)["schema"] != done["schema"]


def test_a_week_later_the_daily_full_comparison_is_rehearsed(
    rehearsing: Server, application: RunningApplication
) -> None:
    rehearsing.tick()
    ended(rehearsing)
    done = remembered(rehearsing)
    rehearsing.write_environment(CHECKNINER_BACKUPS_FULL_CHECK_EVERY="0")
    assert rehearsing.tick()["check_level"] == "full"
    assert left(rehearsing) == []
    path = rehearsing.state_path / "rehearsal.json"
    path.write_text(json.dumps(done | {"at": done["at"] - 8 * 86400}))
    assert not rehearsing.tick()["saved"]
    ended(rehearsing)
    assert remembered(rehearsing)["at"] > done["at"]


def test_what_would_fail_is_known_on_the_first_day(rehearsing: Server, application: RunningApplication) -> None:
    assert rehearse(rehearsing)["verdict"] == "rehearsed"
    cluster, database = application.database.cluster, application.database
    stranger = f"stranger_{os.urandom(3).hex()}"
    cluster.execute(f"CREATE ROLE {stranger}")
    try:
        cluster.execute(f"ALTER TABLE checkouts_airstrip OWNER TO {stranger}", database=database.name)
        cluster.execute(
            f"GRANT SELECT ON checkouts_airstrip, checkouts_airstrip_id_seq TO {database.user}", database=database.name
        )
        found = rehearse(rehearsing, status=NOT_REHEARSED)
        assert found["verdict"] == "failed"
        assert f'role "{stranger}" owns' in found["sql"]
        assert found["fixtures"].startswith("proven")  # fixtures need no such role
        assert rehearsing.tick()["saved"]
        status = rehearsing.run("status", check=False)
        assert status.returncode == 18
        assert "NOT REHEARSED: a restore would fail" in status.stdout
        cluster.execute(f"GRANT {stranger} TO {database.user}")
        assert rehearse(rehearsing)["verdict"] == "rehearsed"
        assert rehearsing.run("status").returncode == 0
    finally:
        cluster.execute(f"REASSIGN OWNED BY {stranger} TO {database.user}", database=database.name)
        cluster.execute(f"DROP OWNED BY {stranger}; DROP ROLE {stranger}", database=database.name)


def test_migrations_that_cannot_run_on_an_empty_database_are_found(
    rehearsing: Server, application: RunningApplication
) -> None:
    migration = sorted((application.path / "checkouts" / "migrations").glob("0*.py"))[-1]
    migration.write_text(migration.read_text() + "\nraise ImportError('made by hand')\n")
    (application.path / "checkouts" / "__init__.py").touch()
    found = rehearse(rehearsing, status=NOT_REHEARSED)
    assert found["verdict"] == "failed"
    assert found["sql"].startswith("proven")
    assert "made by hand" in found["fixtures"]


def test_settings_and_tablespaces_of_the_real_server_are_met(
    rehearsing: Server, application: RunningApplication, tmp_path: Path
) -> None:
    """`ALTER ROLE ... SET` for all databases: a role that is read-only by default, and a path of its own."""
    database = application.database
    role = database.user
    database.cluster.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    database.cluster.execute(f"ALTER ROLE {role} SET search_path = public, pg_catalog")
    try:
        assert rehearse(rehearsing)["verdict"] == "rehearsed"
    finally:
        database.cluster.execute(f"ALTER ROLE {role} RESET ALL")


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("CHECKNINER_BACKUPS_REHEARSAL_MAX_SIZE", "1000", "more than the 1000 that are rehearsed"),
        ("CHECKNINER_BACKUPS_REHEARSAL_TIMEOUT", "0.5", "longer than 0 s"),
        ("CHECKNINER_BACKUPS_REHEARSAL", "sql", "checkniner_backups_rehearsal is sql"),
    ],
)
def test_what_cannot_be_tried_is_never_called_rehearsed(
    rehearsing: Server, setting: str, value: str, reason: str
) -> None:
    rehearsing.tick()
    ended(rehearsing)
    rehearsing.write_environment(**{setting: value})
    found = rehearse(rehearsing, status=NOT_REHEARSED)
    assert found["verdict"] == "cannot be rehearsed"
    assert reason in json.dumps(found)
    status = rehearsing.run("status")  # to be known, not to be mended
    assert "NOTE: NOT REHEARSED: it cannot be tried here" in status.stdout


def test_none_is_none(server: Server) -> None:
    assert server.tick()["saved"]
    assert not (server.state_path / "rehearsal.json").exists()
    assert "none" in server.run("rehearse").stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_stays_of_one_that_is_ended_and_it_gives_way_meanwhile(
    rehearsing: Server, application: RunningApplication, number: signal.Signals
) -> None:
    slow = "\nimport os, time\nif os.environ.get('CHECKNINER_BACKUPS_REHEARSAL'): time.sleep(60)\n"
    settings = application.path / "checkniner" / "settings.py"
    settings = settings if settings.exists() else next(application.path.rglob("settings.py"))
    settings.write_text(settings.read_text() + slow)
    rehearsing.tick()
    until = time.monotonic() + 30
    while len(processes(rehearsing)) < 3:  # the server, its watcher, and the application's process
        assert time.monotonic() < until
        time.sleep(0.05)
    servers = processes(rehearsing)
    for process in servers:
        assert int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[16]) == 19
        assert Path(f"/proc/{process}/oom_score_adj").read_text().strip() == "1000"
    application.change()
    assert rehearsing.tick()["saved"]  # ticks go on
    busy = rehearsing.run("rehearse", check=False)
    assert busy.returncode == 75
    pids = subprocess.run(["pgrep", "-f", "rehearse --kept"], capture_output=True, text=True, check=True).stdout.split()
    for each in pids:
        os.kill(int(each), number)
    ended(rehearsing)


def test_the_applications_migrations_reach_none_of_its_services(
    rehearsing: Server, application: RunningApplication
) -> None:
    add_to_models(
        application,
        "import os\nfrom django.conf import settings as _s\n"
        "if os.environ.get('CHECKNINER_BACKUPS_REHEARSAL'):\n"
        "    assert all('locmem' in each['BACKEND'] for each in _s.CACHES.values())\n"
        "    assert 'dummy' in _s.EMAIL_BACKEND\n"
        "    assert _s.CELERY_BROKER_URL == 'memory://'\n"
        "    assert _s.DATABASES['other']['HOST'] == '/nonexistent'\n"
        "    open(os.path.join(os.path.dirname(__file__), 'was-rehearsed'), 'w').close()\n",
    )
    settings = next(application.path.rglob("settings.py"))
    settings.write_text(
        settings.read_text()
        + "\nCACHES = {'default': {'BACKEND': 'django.core.cache.backends.db.DatabaseCache', 'LOCATION': 'x'}}\n"
        "CELERY_BROKER_URL = 'redis://live'\nEMAIL_BACKEND = 'django.core.mail.backends.smtp.EmailBackend'\n"
        "DATABASES = {**DATABASES, 'other': {**DATABASES['default'], 'NAME': 'live'}}\n"
    )
    assert rehearse(rehearsing)["verdict"] == "rehearsed"
    assert list(application.path.rglob("was-rehearsed"))
