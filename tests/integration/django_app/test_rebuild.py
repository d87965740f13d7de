"""Foreign keys and indexes come back from a load as they were; what would not is never taken away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkniner_backups.errors import ApplicationError

from tests.plugins.fixtures_project import KindsProject
from tests.plugins.postgres import Database

LATE = "DEFERRABLE INITIALLY DEFERRED"
ODD = f"""
    ALTER TABLE kinds_soft ADD ref bigint;
    ALTER TABLE kinds_soft ADD CONSTRAINT plain_key FOREIGN KEY (ref) REFERENCES kinds_place {LATE};
    ALTER TABLE kinds_soft ADD CONSTRAINT plain_cascade FOREIGN KEY (ref) REFERENCES kinds_place
        ON DELETE CASCADE {LATE};
    ALTER TABLE kinds_soft ADD CONSTRAINT odd_not_valid FOREIGN KEY (ref) REFERENCES kinds_place {LATE} NOT VALID;
    ALTER TABLE kinds_soft ADD CONSTRAINT odd_immediate FOREIGN KEY (ref) REFERENCES kinds_place;
    ALTER TABLE kinds_soft ADD CONSTRAINT odd_described FOREIGN KEY (ref) REFERENCES kinds_place {LATE};
    COMMENT ON CONSTRAINT odd_described ON kinds_soft IS 'what it means';
    ALTER TABLE kinds_soft ADD CONSTRAINT odd_theirs FOREIGN KEY (ref) REFERENCES theirs {LATE};
    CREATE INDEX plain_index ON kinds_soft (ref DESC NULLS LAST, deleted) INCLUDE (id) WITH (fillfactor = 50);
    CREATE INDEX odd_partial ON kinds_soft (ref) WHERE ref > 5;
    CREATE INDEX odd_expression ON kinds_soft ((ref + 1));
    CREATE INDEX odd_long ON kinds_soft (name);
    CREATE INDEX odd_hash ON kinds_soft USING hash (ref);
    CREATE UNIQUE INDEX odd_unique ON kinds_soft (ref, id);
    CREATE INDEX odd_comment ON kinds_soft (ref);
    COMMENT ON INDEX odd_comment IS 'what it is for';
    CREATE INDEX odd_cluster ON kinds_soft (ref);
    ALTER TABLE kinds_soft CLUSTER ON odd_cluster;
    CREATE INDEX odd_depends ON kinds_soft (ref);
    ALTER INDEX odd_depends DEPENDS ON EXTENSION plpgsql;
    CREATE INDEX odd_inherited ON kinds_custom (id);
    CREATE TABLE child () INHERITS (kinds_custom)
"""
FIXTURE = [{"model": "kinds.soft", "pk": key, "fields": {"name": "x", "deleted": False}} for key in range(1, 9)]


@pytest.fixture
def odd(kinds: KindsProject) -> Iterator[Database]:
    """A migrated database with foreign keys and indexes of many kinds."""
    with kinds.database("migrated") as database:
        kinds.cluster.execute("CREATE TABLE theirs (id bigint PRIMARY KEY)", database=database.name)
        kinds.cluster.execute(f'GRANT REFERENCES ON theirs TO "{database.user}"', database=database.name)
        for statement in ODD.split(";"):
            database.execute(statement)
        yield database


def load(kinds: KindsProject, database: Database, folder: Path, *more: object, live: bool = False) -> None:
    with kinds.start(database.url, folder) as process:
        locked = (lambda: None) if live else None
        fixture = json.dumps([*FIXTURE, *more]).encode()
        process.load(["kinds"], [("kinds", [fixture])], empty=True, locked=locked)


def numbers(database: Database) -> dict[str, int]:
    """The OIDs of foreign keys and indexes, which are new where they were made again."""
    return dict(
        database.execute(
            "SELECT conname, oid::bigint FROM pg_constraint WHERE contype = 'f' UNION ALL"
            " SELECT relname, oid::bigint FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace"
        )
    )


def schema(database: Database) -> list[str]:
    argv = [database.cluster.binaries / "pg_dump", "--schema-only", database.admin_url]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if not line.startswith((r"\restrict", r"\unrestrict"))]


def test_what_is_taken_away_comes_back(kinds: KindsProject, odd: Database, tmp_path: Path) -> None:
    before, text = numbers(odd), schema(odd)
    load(kinds, odd, tmp_path)
    after = numbers(odd)
    assert schema(odd) == text
    again = {name for name in before if after[name] != before[name]}
    assert {name for name in before if name.startswith("odd_")} & again == set()
    assert {"plain_key", "plain_cascade", "plain_index"} <= again
    assert any(name.startswith("kinds_everything_parent_id") for name in again)
    assert not any(name.endswith("_pkey") for name in again)


def test_a_row_that_refers_to_nothing(kinds: KindsProject, odd: Database, tmp_path: Path) -> None:
    before, text = numbers(odd), schema(odd)
    note = {"model": "kinds.note", "pk": 1, "fields": {"content_type": ["kinds", "soft"], "object_id": 1}}
    reader = {"model": "kinds.reader", "pk": 1, "fields": {"book": 4711, "books": []}}
    with pytest.raises(ApplicationError, match='on table "kinds_reader" violates foreign key constraint'):
        load(kinds, odd, tmp_path, note, reader)
    assert (numbers(odd), schema(odd)) == (before, text)


def test_nothing_is_taken_away_in_a_database_in_use(kinds: KindsProject, odd: Database, tmp_path: Path) -> None:
    before = numbers(odd)
    load(kinds, odd, tmp_path, live=True)
    assert numbers(odd) == before
