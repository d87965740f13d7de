"""A tick's change checks without a store, in this process: what it would decide, and what its dataset would hold."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.backup import changes
from checkniner_backups.backup import tick as backup
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.backup.context import RunContext
from checkniner_backups.backup.detect import Dumped, check_and_dump
from checkniner_backups.django_app.sources import application_dsn
from checkniner_backups.settings import Settings, StoreSettings
from checkniner_backups.state.folder import State

from .plugins.application import RunningApplication


class ChangeChecks:
    """The engine's change checks of an application. What a check would save counts as saved."""

    def __init__(self, application: RunningApplication, folder: Path, **changed: Any) -> None:
        """:param folder: for the state; 0700, empty"""
        self.settings = replace(
            Settings(
                name="checkniner",
                application_path=application.path,
                virtualenv=application.virtualenv,
                state_path=folder,
                store=StoreSettings(bucket="none"),
                encryption=False,
            ),
            **changed,
        )
        self.application = application
        self.state = State(folder)
        self.members: dict[str, bytes] = {}
        self.dumped: Dumped

    def set(self, **changed: Any) -> None:
        """Change settings."""
        self.settings = replace(self.settings, **changed)

    def check(self, force: bool = False) -> changes.Verdict:
        """Check as a tick would; return its verdict. `members` holds what the last change dumped, `dumped` the
        rest."""
        dsn, environment = application_dsn(self.settings)
        with self.state.lock():
            saved, why_not = changes.comparable(self.state.load(), self.settings.archive_settings(), dsn.database_id())
            context = RunContext(self.settings, self.state, dsn, environment, saved, why_not, force)
            if verdict := backup.check_snapshot(context):
                return verdict
            with self.state.work_folder() as folder:
                self.dumped = check_and_dump(context, folder)
                if candidate := self.dumped.candidate:
                    self.state.store(candidate.published("", 0, "", now=0, verified=True))
                    paths = (folder / "dataset").glob("*.gz")
                    self.members = {path.stem: gzip.decompress(path.read_bytes()) for path in paths}
        return self.dumped.verdict

    @property
    def sql(self) -> str:
        """The dumped SQL."""
        (text,) = (data for name, data in self.members.items() if name.endswith(".sql"))
        return text.decode()

    def rows(self, table: str) -> list[list[str]]:
        """Given a table's name, return its rows in the dumped SQL."""
        _, found, rest = self.sql.partition(f"COPY public.{table} (")
        assert found, table
        block = rest.partition("\n")[2].partition("\\.\n")[0]
        return [line.split("\t") for line in block.splitlines()]

    def objects(self, model: str) -> list[dict[str, Any]]:
        """Given a model's label, return its objects in the dumped fixture."""
        app = model.partition(".")[0]
        return [each for each in json.loads(self.members[f"{app}.json"]) if each["model"] == model]


@pytest.fixture
def checks(application: RunningApplication, tmp_path: Path) -> ChangeChecks:
    """Change checks of the example application; the first one is done: everything is saved."""
    made = ChangeChecks(application, tmp_path)
    assert made.check().changed
    must_be_quiet(made)
    return made


def must_be_quiet(checks: ChangeChecks) -> None:
    """Check again: nothing new, by the snapshot token alone; autovacuum may move the token now and then."""
    for _ in range(20):
        verdict = checks.check()
        assert not verdict.changed, verdict
        if verdict.level is CheckLevel.SNAPSHOT:
            return
    raise AssertionError("the snapshot token never settles it")


def must_see(checks: ChangeChecks, *where: str) -> None:
    """CheckLevel: the change must be seen, named, saved, and seen once only."""
    verdict = checks.check()
    assert verdict.changed, verdict
    for each in where:
        assert each in verdict.reason, verdict
    assert not checks.dumped.fault
    must_be_quiet(checks)


def must_ignore(checks: ChangeChecks, *allowed: CheckLevel) -> None:
    """Check: nothing may be saved, and no more than these checks may be needed."""
    verdict = checks.check()
    assert not verdict.changed, verdict
    assert verdict.level in (allowed or (CheckLevel.SNAPSHOT, CheckLevel.ROWS)), verdict
    must_be_quiet(checks)
