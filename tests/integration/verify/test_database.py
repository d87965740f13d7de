"""Each thing that a manifest tells of a database is compared: one difference, and it is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.postgres.dsn import Dsn, parse_url
from checkniner_backups.verify.database import verify_sql

from tests.change_checks import ChangeChecks
from tests.plugins.application import RunningApplication

STRIP = "WHERE id = (SELECT min(id) FROM checkouts_airstrip)"
# What is changed in the database, what takes it back, and how the proof names it.
DIFFERENCES = {
    "a value": (
        f"UPDATE checkouts_airstrip SET name = name || '!' {STRIP}",
        f"UPDATE checkouts_airstrip SET name = rtrim(name, '!') {STRIP}",
        "table public.checkouts_airstrip: 11 rows as in the manifest, but with other content",
    ),
    "a row": (
        "INSERT INTO django_session VALUES ('more', '', now())",
        "DELETE FROM django_session WHERE session_key = 'more'",
        "table public.django_session: 1 rows, the manifest says 0",
    ),
    "a table more": ("CREATE TABLE more ()", "DROP TABLE more", "table public.more is not in the archive"),
    "a table less": (
        "ALTER TABLE django_session RENAME TO gone",
        "ALTER TABLE gone RENAME TO django_session",
        "table public.django_session is missing",
    ),
    "a table's owner": (
        "ALTER TABLE django_session OWNER TO {other}",
        "ALTER TABLE django_session OWNER TO {owner}",
        "table public.django_session: belongs to {other}, the manifest says {owner}",
    ),
    "a table's privileges": (
        "GRANT SELECT ON django_session TO {other}",
        "REVOKE ALL ON django_session FROM {other}",
        "table public.django_session: privileges are",
    ),
    "a sequence behind": (
        "SELECT setval('checkouts_airstrip_id_seq', 2)",
        "SELECT setval('checkouts_airstrip_id_seq', max(id)) FROM checkouts_airstrip",
        "sequence public.checkouts_airstrip_id_seq is at 2, behind",
    ),
    "a sequence less": (
        "ALTER SEQUENCE checkouts_airstrip_id_seq RENAME TO gone_seq",
        "ALTER SEQUENCE gone_seq RENAME TO checkouts_airstrip_id_seq",
        "sequence public.checkouts_airstrip_id_seq is missing",
    ),
    "a setting": (
        "ALTER DATABASE {live} SET work_mem = '5MB'",
        "ALTER DATABASE {live} RESET work_mem",
        "the database's settings is",
    ),
    "a limit": (
        "ALTER DATABASE {live} CONNECTION LIMIT 50",
        "ALTER DATABASE {live} CONNECTION LIMIT -1",
        "the database's connection_limit is 50, the manifest says -1",
    ),
    "a privilege on the database": (
        "GRANT CREATE ON DATABASE {live} TO {other}",
        "REVOKE CREATE ON DATABASE {live} FROM {other}",
        "privileges on the database are",
    ),
    "an extension": (
        "DROP EXTENSION file_fdw",
        "CREATE EXTENSION file_fdw",
        "extension file_fdw is missing",
    ),
}


class Proven:
    """A database, and the manifest of an archive that was made of it."""

    def __init__(self, application: RunningApplication, folder: Path) -> None:
        self.application = application
        self.names = {
            "live": f'"{application.database.name}"',
            "owner": application.database.user,
            "other": f"{application.database.user}_other",
        }
        self.change("CREATE EXTENSION file_fdw")
        self.change("CREATE ROLE {other} ROLE {owner}")
        checks = ChangeChecks(application, folder)
        checks.check()
        dataset, candidate = checks.dumped.dataset, checks.dumped.candidate
        assert dataset
        assert candidate
        self.manifest: Manifest = dataset.manifest("checkniner", datetime.now(timezone.utc))
        self.dsn: Dsn = parse_url(application.database.url)

    def change(self, statement: str) -> None:
        cluster = self.application.database.cluster
        cluster.execute(statement.format(**self.names), database=self.application.database.name)


@pytest.fixture
def proven(application: RunningApplication, tmp_path: Path) -> Iterator[Proven]:
    made = Proven(application, tmp_path)
    yield made
    made.change("DROP ROLE {other}")


def test_each_difference_is_named(proven: Proven) -> None:
    assert verify_sql(proven.dsn, proven.manifest).proven
    for what, (change, back, words) in DIFFERENCES.items():
        proven.change(change)
        found = verify_sql(proven.dsn, proven.manifest)
        proven.change(back)
        assert not found.proven, what
        told = words.format(**proven.names)
        assert any(each.startswith(told) for each in found.differences), (what, found.differences)
    assert verify_sql(proven.dsn, proven.manifest).proven
    # A sequence is never transactional: ahead is no difference.
    proven.change("SELECT nextval('checkouts_airstrip_id_seq')")
    assert verify_sql(proven.dsn, proven.manifest).proven
