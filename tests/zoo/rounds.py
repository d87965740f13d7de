"""What every application of the zoo goes through: a tick, a rehearsal, and both restores beside the live database.

Each restore is compared twice: by the engine, which says "proven", and by means that share nothing with it.
"""

from __future__ import annotations

import json
from typing import ClassVar

from tests.plugins.postgres import fresh_database
from tests.plugins.zoo import Tried
from tests.restoring import Restorer

from . import independent
from .project import Project


class Rounds:
    """The tests. A file gives a `project`, and says what is expected otherwise."""

    project: ClassVar[Project]
    not_in_fixtures: ClassVar[frozenset[str]] = frozenset()
    """Names of tables whose rows fixtures cannot hold; the file says why."""
    rehearsed: ClassVar[str] = "rehearsed"
    """The verdict of a rehearsal."""

    def test_a_tick_saves_all_of_it_and_the_next_one_nothing(self, tried: Tried) -> None:
        assert tried.first["saved"], tried.first
        assert "WARNING" not in tried.said
        assert not tried.server.tick()["saved"]

    def test_a_restore_is_rehearsed(self, tried: Tried) -> None:
        tried.server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="full")
        done = tried.server.run("rehearse", "--json", check=False)
        tried.server.write_environment(CHECKNINER_BACKUPS_REHEARSAL="none")
        assert done.returncode in (0, 17), done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert found["sql"].startswith("proven"), found
        assert found["verdict"] == self.rehearsed, found
        assert (done.returncode == 0) == (self.rehearsed == "rehearsed")

    def test_sql_brings_back_every_byte(self, tried: Tried) -> None:
        database, url = tried.database, tried.database.admin_url
        before = independent.rows(url)
        restorer = restorer_of(tried)
        name = restorer.create(*self.project.extensions)
        found = restorer.load(name)
        assert found.get("proven"), found
        restored = database.cluster.admin_url(name)
        assert independent.differences(before, independent.rows(restored)) == []
        # The copy of a copy has the same text, the first one not: `IN ('a', 'b')` on varchar is written otherwise.
        with fresh_database(database.cluster) as plain:
            independent.copied(url, plain.admin_url)
            text, views = independent.dump_text(plain.admin_url), independent.rows(plain.admin_url, "m")
        assert independent.dump_text(restored) == text
        assert independent.differences(views, independent.rows(restored, "m")) == []

    def test_fixtures_bring_back_every_object(self, tried: Tried) -> None:
        database, url = tried.database, tried.database.admin_url
        before, schema = independent.objects(url), independent.dump_text(url, "--schema-only")
        restorer = restorer_of(tried)
        name = restorer.databases.create(
            database.user, restorer.metadata(), self.project.extensions, kind="fixtures"
        ).database
        found = restorer.load(name, "fixtures")
        assert found.get("proven"), found
        restored = database.cluster.admin_url(name)
        assert independent.differences(before, independent.objects(restored), self.not_in_fixtures) == []
        assert independent.dump_text(restored, "--schema-only") == schema
        assert independent.sequences_behind(restored) == []


def restorer_of(tried: Tried) -> Restorer:
    """Given an application that was saved, return what restores that archive, which lies on the server."""
    restorer = Restorer(tried.server, tried.database, tried.keyring)
    restorer.fetch(tried.first["key"])
    return restorer
