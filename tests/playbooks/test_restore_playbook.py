"""restore.yml: what is wrong on its line, or on its way, leaves everything as it was."""

from __future__ import annotations

import re

import pytest

from tests.plugins.operated import Operated
from tests.restoring import digest_of, names_of


def assert_untouched(operated: Operated, before: dict[str, str]) -> None:
    """Nothing changed in the live database, no new one stands beside it, and no archive lies on the server."""
    assert digest_of(operated.database) == before
    assert not [name for name in names_of(operated.database) if "_restoring_" in name]
    assert not (operated.state_path / "restore").exists()


WRONG = {
    "source": (["-e", "source=tape"], r'source is \\?"tape\\?".*-e source=sql'),
    "no source": ([], r"-e source=sql"),
    "apps of sql": (["-e", "source=sql", "-e", "apps=auth"], "SQL is restored as a whole"),
    "two archives": (["-e", "source=sql", "-e", "at=2026-01-01", "-e", "archive=db/x"], "exclude each other"),
    "no such archive": (["-e", "source=sql", "-e", "archive=db/2001-01-01T00:00:00.tar.gz.gpg"], "2001-01-01"),
    "before the first": (["-e", "source=sql", "-e", "at='2001-01-01 00:00 UTC'"], "the oldest one is"),
    "no such file": (["-e", "source=sql", "-e", "archive_file=/nonexistent.tar.gz.gpg"], "nonexistent"),
    "unknown app": (["-e", "source=fixtures", "-e", "apps=checkuots"], "checkuots"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_word_changes_nothing(operated: Operated, name: str) -> None:
    options, words = WRONG[name]
    before, keys = digest_of(operated.database), operated.stored()
    done = operated.restore(*options)
    assert done.returncode != 0
    assert re.search(words, " ".join(done.stdout.split())), done.stdout[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    assert_untouched(operated, before)
    assert operated.stored() == keys


def test_a_restore_that_fails_on_the_way_leaves_all_as_it_was(operated: Operated) -> None:
    """The swap is refused: all before it was done, and is undone."""
    database = operated.database
    slot = f"slot_{database.name}"
    database.cluster.execute(
        "SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", (slot,), database=database.name
    )
    try:
        before = digest_of(database)
        done = operated.restore("-e", "source=sql")
        assert done.returncode != 0
        words = " ".join(done.stdout.split())
        assert f"logical replication slot {slot}" in words
        assert "the running database is as it was" in words
        assert_untouched(operated, before)
    finally:
        database.cluster.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
