"""A server on which faults are tried one after the other, and what must hold after each of them.

A pair is a fault and a place. The ordinary run tries a part of the pairs, always the same; `--all-faults` tries all,
and `make faults` writes what came of them into docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sandbox import guard
from sandbox.application import Application
from sandbox.object_store import ObjectStore
from sandbox.postgres import Cluster
from sandbox.server import Server
from tests.ticking import leftovers, newest, newest_key, truth

from .application import TEMPLATE, RunningApplication
from .keys import Keys
from .postgres import fresh_database

LAUNCHER = Path(__file__).parents[1] / "faults" / "launcher.py"
_SHARE = 5
"""The ordinary run tries one pair of so many."""
_FAULT_OF_OURS = 1
"""Exit status of an error that nobody has foreseen: no fault may end in it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-faults", action="store_true", help="try every pair of fault and place, not a part of them")
    parser.addoption("--record-faults", metavar="FILE", help="write what was tried and what came of it there, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pair(promise): a fault is tried at a place; `promise` is the number of DESIGN")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out most pairs, by a digest of their names: the same ones each time."""
    if config.getoption("--all-faults") or any("::" in argument for argument in config.args):
        return
    tried, left = [], []
    for item in items:
        paired = item.get_closest_marker("pair") is not None
        (left if paired and zlib.crc32(item.nodeid.encode()) % _SHARE else tried).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = tried


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield
    if (marker := item.get_closest_marker("pair")) and report.when == "call":
        callspec = getattr(item, "callspec", None)
        fault, place = marker.kwargs["fault"], marker.kwargs["place"]
        values = callspec.params if callspec else {}
        told = {
            "fault": _words(values.get(fault, fault)) + marker.kwargs.get("suffix", ""),
            "place": _words(values.get(place, place)),
            "promise": marker.args[0], "file": item.location[0], "passed": report.passed,
        }  # fmt: skip
        report.user_properties.append(("pair", json.dumps(told)))
    return report  # type: ignore[return-value]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ": ".join(map(str, value))
    return str(getattr(value, "name", value))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the record, on the process that has all reports, and say how many passed."""
    pairs = [
        json.loads(value)
        for kind in ("passed", "failed")
        for report in terminalreporter.stats.get(kind, ())
        for name, value in getattr(report, "user_properties", ())
        if name == "pair"
    ]
    if path := config.getoption("--record-faults"):
        Path(path).write_text(json.dumps(pairs, indent=1))
    if pairs:
        passed = sum(each["passed"] for each in pairs)
        terminalreporter.write_line(f"faults: {passed} passed, {len(pairs) - passed} failed")


@dataclass
class Faulty:
    """A server, its application, and what is known of both. `check` is what must hold after each fault.

    :ivar broken: whether something did not hold: the next test gets another server
    """

    server: Server
    application: RunningApplication
    keys: Keys
    broken: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """A folder of the owner."""
        return self.application.installed.folder

    def argv(self, plan: dict[str, Any], *arguments: str | Path) -> list[str | Path]:
        """Return the command line that runs the engine with a fault built in."""
        python = self.server.command.with_name("python")
        words = [json.dumps(plan), "--environment", self.server.environment_file, *arguments]
        return [python, "-I", self.folder / LAUNCHER.name, *words]

    def run(
        self, plan: dict[str, Any], *arguments: str | Path, timeout: float = 120, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine with a fault built in, as the owner."""
        return self.application.owner.run(self.argv(plan, *arguments), check=False, timeout=timeout, **more)

    def was_reached(self) -> bool:
        """Return whether the last run came to the point at which it was to be cut."""
        path = self.folder / "reached"
        reached = path.exists()
        path.unlink(missing_ok=True)
        return reached

    def change(self) -> str:
        """Commit a change of business data; return what to look for."""
        ident = secrets.token_hex(4)
        insert = "INSERT INTO checkouts_airstrip (ident, name, is_base) VALUES (%s, 'Changed', false)"
        self.application.database.execute(insert, (ident,))
        return ident

    def settle(self) -> None:
        """Wait until nothing of a run is left: what reads from a pipe sees its end."""
        for _ in range(400):
            left = [each for each in guard.processes_of(self.folder) if each != os.getpid()]
            if not left:
                return
            time.sleep(0.05)
        raise AssertionError([Path(f"/proc/{each}/cmdline").read_bytes() for each in left])

    def check(self, done: subprocess.CompletedProcess[str], *statuses: int) -> None:
        """Given a run with a fault, check all that must hold afterwards; `statuses` are those that it may end with.

        1. It ended with a status that tells what happened, and showed no traceback. A success is one: what it was to
           save is in the store.
        2. The next tick, without the fault, ends well; the newest archive is then the data, by SQL and by fixtures.
        3. What is remembered is in the store as it is remembered.
        4. No plaintext, no half-written file and no process is left.
        """
        try:
            assert done.returncode in statuses, (done.returncode, done.stderr[-3000:])
            assert done.returncode != _FAULT_OF_OURS
            assert "Traceback" not in done.stderr + done.stdout
            self.settle()
            if done.returncode == 0:
                assert newest(self.server, self.keys, self.application) == truth(self.application)
            again = self.server.run("run", "--json", check=False)
            assert again.returncode == 0, again.stderr[-3000:]
            assert newest(self.server, self.keys, self.application) == truth(self.application)
            self.check_memory()
            self.check_leftovers()
            self.settle()
        except BaseException:
            self.broken = True
            raise

    def check_leftovers(self) -> None:
        """Nothing is left, but what was just made and holds no data: it may be another run's for a minute."""
        left = self._left()
        small = (".pending.", ".safety-manifest.", ".scratch-")
        assert all(name.startswith(small) for name in left), left
        for name in left:
            path = self.application.state_path / name
            assert not [each for each in path.rglob("*") if each.suffix in (".json", ".sql", ".gz")]
            os.utime(path, (time.time() - 120,) * 2)
        if left:
            self.server.tick()
        assert self._left() == []

    def _left(self) -> list[str]:
        restores = {"safety-manifest.json", "before-restore"}
        return [name for name in leftovers(self.server) if name not in restores]

    def check_memory(self) -> None:
        """What is remembered of the last archive is what the store has, and the newest one there."""
        remembered = self.server.state()
        found = self.server.store.client().head_object(Bucket=self.server.bucket, Key=remembered["key"])
        assert found["ContentLength"] == remembered["size"]
        assert remembered["key"] == newest_key(self.server)


@pytest.fixture(scope="module")
def faulty_servers() -> Iterator[dict[str, tuple[Faulty, ExitStack]]]:
    """The server of this module, if one is made yet."""
    made: dict[str, tuple[Faulty, ExitStack]] = {}
    yield made
    for _, parts in made.values():
        parts.close()


@pytest.fixture
def faulty(  # noqa: PLR0917 - pytest gives fixtures by name
    faulty_servers: dict[str, tuple[Faulty, ExitStack]],
    application_template: Application,
    engine: Path,
    s3_server: ObjectStore,
    keys: Keys,
    cluster: Cluster,
) -> Faulty:
    """A server that has saved: the same for all tests of a module, as long as everything holds."""
    found = faulty_servers.pop("", None)
    if found and found[0].broken:
        found[1].close()
        found = None
    if not found:
        parts = ExitStack()
        running = parts.enter_context(_application(cluster, application_template))
        found = _served(running, engine, s3_server, keys), parts
    faulty_servers[""] = found
    return found[0]


@contextmanager
def _application(cluster: Cluster, template: Application) -> Iterator[RunningApplication]:
    owner = template.owner
    with (
        fresh_database(cluster, template=TEMPLATE) as database,
        Application(database.url, owner=owner, packages_of=template.virtualenv) as installed,
    ):
        application = RunningApplication(installed, database)
        application.state_path.mkdir(mode=0o700)
        owner.own(application.state_path)
        shutil.copy(LAUNCHER, installed.folder)
        owner.own(installed.folder / LAUNCHER.name)
        yield application


def _served(application: RunningApplication, engine: Path, store: ObjectStore, keys: Keys) -> Faulty:
    store.create_bucket(bucket := f"faulty-{secrets.token_hex(4)}")
    server = Server(application.installed, engine, store, bucket, application.state_path)
    server.set_up(keys.plain, keys.keyring.export_public(keys.plain))
    server.tick()
    return Faulty(server, application, keys)
