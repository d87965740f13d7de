"""Which tables a tick reads: those with new row versions, and in the full comparison all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.postgres import digest
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.snapshot_token import read_token
from checkniner_backups.state.last_backup import LastBackup, RowVersions

from tests.change_checks import ChangeChecks, checks, must_ignore

__all__ = ["checks"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tables that have been hashed."""
    names: list[str] = []
    original = digest.digest_table

    def spy(connection: Any, table: Any, *rest: Any) -> digest.TableDigest:
        names.append(table.name)
        return original(connection, table, *rest)

    monkeypatch.setattr(digest, "digest_table", spy)
    return names


@pytest.fixture
def still(checks: ChangeChecks) -> ChangeChecks:
    """ChangeChecks without statistics, which come late: what they hint at is tested elsewhere."""
    database = checks.application.database
    database.cluster.execute(f"ALTER DATABASE {database.name} SET track_counts = off")
    return checks


def saved(checks: ChangeChecks) -> LastBackup:
    """Return what is remembered."""
    found = checks.state.load()
    assert found
    return found


def test_a_write_elsewhere_reads_no_business_table(still: ChangeChecks, read: list[str]) -> None:
    for _ in range(2):
        read.clear()
        still.application.change_noise()
        must_ignore(still, CheckLevel.ROWS)
        assert set(read) == {"django_migrations"}
    # New versions of equal rows: they are read once, and remembered.
    still.application.database.execute("UPDATE auth_user SET first_name = first_name")
    must_ignore(still, CheckLevel.ROWS)
    assert set(read) == {"auth_user", "django_migrations"}
    # The full comparison reads all of it, and remembers too.
    still.application.database.execute("UPDATE auth_user SET first_name = first_name")
    still.state.store(replace(saved(still), full_check_at=0.0))
    must_ignore(still, CheckLevel.FULL)
    assert saved(still).row_versions.token == saved(still).snapshot_token
    read.clear()
    still.application.change_noise()
    must_ignore(still, CheckLevel.ROWS)
    assert set(read) == {"django_migrations"}


def test_a_field_that_is_ignored_and_a_former_memory_mean_reading(still: ChangeChecks, read: list[str]) -> None:
    before = saved(still)
    still.state.store(replace(before, row_versions=RowVersions()))
    still.application.change_noise()
    must_ignore(still, CheckLevel.ROWS)
    assert {"auth_user", "checkouts_airstrip"} <= set(read)
    assert saved(still).row_versions.rows.keys() == before.row_versions.rows.keys()

    still.set(ignored_fields=("auth.User.last_login",))
    assert still.check().changed
    read.clear()
    still.application.change_noise()
    must_ignore(still, CheckLevel.ROWS)
    assert set(read) == {"auth_user", "django_migrations"}


def test_the_full_comparison_reads_what_the_versions_hide(still: ChangeChecks) -> None:
    """The memory is made to lie: its oldest transaction is one after the change, which no fixture shows."""
    before, database = saved(still), still.application.database
    database.execute(
        "UPDATE auth_user SET date_joined = date_trunc('millisecond', date_joined) + interval '7 microseconds'"
    )
    rows = {name: database.execute(f"SELECT count(*) FROM {name}")[0][0] for name in before.row_versions.rows}
    lying = replace(before.row_versions, token=read_token(parse_url(database.url)), rows=rows)
    still.state.store(replace(before, row_versions=lying))
    must_ignore(still, CheckLevel.ROWS)
    still.state.store(replace(saved(still), full_check_at=0.0))
    assert still.check().changed
    assert still.dumped.fault
