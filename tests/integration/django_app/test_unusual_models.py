"""Models that `dumpdata` alone would save in part only, or in no definite order: every row comes, and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.django_app.process import FixturesReport

from tests.integration.django_app.test_dump import dump
from tests.plugins.fixtures_project import KindsProject, Members
from tests.plugins.postgres import Database

APP = "unusual"


@pytest.fixture
def database(kinds: KindsProject) -> Iterator[Database]:
    with kinds.database("migrated") as made:
        yield made


def objects(members: Members, model: str) -> list[dict[str, Any]]:
    return [found for found in json.loads(members[APP]) if found["model"] == f"{APP}.{model}"]


def dumped(kinds: KindsProject, database: Database, folder: Path) -> tuple[Members, FixturesReport]:
    with kinds.start(database.url, folder) as process:
        return dump(process, apps=[APP])


def comes_back(kinds: KindsProject, database: Database, members: Members, folder: Path, *tables: str) -> None:
    """Load the fixture over what is there, and into a new database: the same rows, and the same fixture."""
    rows = [database.execute(f"SELECT t::text FROM unusual_{table} t ORDER BY 1") for table in tables]
    assert all(rows)
    with kinds.database("migrated") as other:
        for target in (database, other):
            with kinds.start(target.url, folder) as process:
                process.load([APP], [(APP, [members[APP]])], empty=True)
                assert dump(process, apps=[APP])[0][APP] == members[APP]
            assert [target.execute(f"SELECT t::text FROM unusual_{table} t ORDER BY 1") for table in tables] == rows


def composite(kinds: KindsProject, database: Database) -> None:
    found = kinds.run("from django.db import models; print(hasattr(models, 'CompositePrimaryKey'))", database.url)
    if found.split()[-1] != "True":
        pytest.skip("this Django has no composite primary keys: they came with 5.2")
    database.execute("INSERT INTO unusual_person (id, name) SELECT n, 'person ' || 99 - n FROM generate_series(1, 3) n")
    database.execute(
        "INSERT INTO unusual_line (order_id, n, day, text) SELECT o, n % 7, date '2026-01-01' + n, 'text ' || n"
        " FROM generate_series(1, 3) o, generate_series(1, 700) n ORDER BY random()"
    )


def test_a_composite_primary_key(kinds: KindsProject, database: Database, tmp_path: Path) -> None:
    composite(kinds, database)
    members, report = dumped(kinds, database, tmp_path)
    (line,) = [model for model in report.models if model.label == "unusual.line"]
    assert (line.objects, line.way, line.why) == (2100, "django", "a composite primary key")
    keys = [found["pk"] for found in objects(members, "line")]
    assert keys == sorted(keys)
    assert keys[0] == [1, 0, "2026-01-08"]
    with kinds.reference(database.url, tmp_path) as reference:
        assert json.loads(reference.dumpdata("unusual.line")) == objects(members, "line")
    comes_back(kinds, database, members, tmp_path, "line")


def test_what_refers_to_a_composite_primary_key(kinds: KindsProject, database: Database, tmp_path: Path) -> None:
    composite(kinds, database)
    database.execute(
        "INSERT INTO unusual_remark (line_order, line_n, line_day) VALUES (2, 1, '2026-01-02'), (7, 7, '2026-07-07')"
    )
    members, _ = dumped(kinds, database, tmp_path)
    assert objects(members, "remark")[0]["fields"] == {"line_order": 2, "line_n": 1, "line_day": "2026-01-02"}
    comes_back(kinds, database, members, tmp_path, "line", "remark")


def test_rows_that_a_base_manager_hides(kinds: KindsProject, database: Database, tmp_path: Path) -> None:
    database.execute(
        "INSERT INTO unusual_hiding (id, name, hidden, successor_id) VALUES"
        " (1, 'first', true, 3), (2, 'second', false, 3), (3, 'third', true, NULL)"
    )
    database.execute("INSERT INTO unusual_hiding_friends (from_hiding_id, to_hiding_id) VALUES (1, 3), (3, 2)")
    database.execute("INSERT INTO unusual_refers (to_id) VALUES (3), (2)")
    members, report = dumped(kinds, database, tmp_path)
    assert report.warnings == ()
    assert [(found["pk"], found["fields"]["successor"]) for found in objects(members, "hiding")] == [
        (1, 3), (2, 3), (3, None),
    ]  # fmt: skip
    assert objects(members, "hiding")[0]["fields"]["friends"] == [3]
    assert [found["fields"]["to"] for found in objects(members, "refers")] == [3, 2]
    comes_back(kinds, database, members, tmp_path, "hiding", "refers")
    assert database.execute("SELECT from_hiding_id, to_hiding_id FROM unusual_hiding_friends ORDER BY 1") == [
        (1, 3), (3, 2),
    ]  # fmt: skip


def test_a_key_that_refers_to_what_is_ordered(kinds: KindsProject, database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO unusual_person (id, name) SELECT n, 'the same' FROM generate_series(1, 200) n")
    database.execute("INSERT INTO unusual_badge SELECT n, 0 FROM generate_series(1, 200) n ORDER BY random()")
    database.execute("INSERT INTO unusual_employee SELECT n, 0 FROM generate_series(1, 200) n ORDER BY random()")
    before, report = dumped(kinds, database, tmp_path)
    for model in ("badge", "employee"):
        assert [found["pk"] for found in objects(before, model)] == list(range(1, 201))
    assert {model.label: model.way for model in report.models}["unusual.badge"] == "fast"
    # Saved again as it was, a row lies elsewhere in the table; another app's rows do not move it either.
    database.execute("UPDATE unusual_badge SET number = number WHERE person_id < 50")
    database.execute("UPDATE unusual_employee SET room = room WHERE person_ptr_id < 50")
    assert dumped(kinds, database, tmp_path)[0][APP] == before[APP]
    database.execute("UPDATE unusual_person SET name = 'aaa' WHERE id = 200")
    after, _ = dumped(kinds, database, tmp_path)
    for model in ("badge", "employee"):
        assert objects(after, model) == objects(before, model)
    comes_back(kinds, database, after, tmp_path, "person", "badge", "employee")


def test_natural_keys_that_are_not_unique_or_refer_to_nothing_are_not_needed(
    kinds: KindsProject, database: Database, tmp_path: Path
) -> None:
    database.execute("ALTER TABLE unusual_hiding DROP CONSTRAINT IF EXISTS unusual_hiding_name_key")
    database.execute(
        "INSERT INTO unusual_hiding (id, name, hidden, successor_id) VALUES"
        " (1, 'same', false, 2), (2, 'same', false, NULL)"
    )
    ((constraint,),) = database.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'unusual_refers'::regclass AND contype = 'f'"
    )
    database.execute(f'ALTER TABLE unusual_refers DROP CONSTRAINT "{constraint}"')
    database.execute("INSERT INTO unusual_refers (to_id) VALUES (99), (2)")
    members, report = dumped(kinds, database, tmp_path)
    assert report.missing == {}
    assert [found["fields"]["successor"] for found in objects(members, "hiding")] == [2, None]
    assert [found["fields"]["to"] for found in objects(members, "refers")] == [99, 2]
