"""What a standby ends in one reader alone, as for a pinned page, is tried again; the same on a primary is a failure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from checkniner_backups.backup.dump import _Sql
from checkniner_backups.django_app.worker.dump import locked_out
from checkniner_backups.errors import DatabaseError, LockTimeoutError
from checkniner_backups.postgres.dsn import Dsn
from checkniner_backups.postgres.snapshot import Snapshot

GERMAN = "pg_dump: Fehler: FEHLER:  storniere Anfrage wegen Konflikt mit der Wiederherstellung"
DENIED = "pg_dump: error: query failed: ERROR:  permission denied for table thing"


@pytest.mark.parametrize(
    ("token", "words", "kind"),
    [("", GERMAN, LockTimeoutError), ("1:1:/run", GERMAN, DatabaseError), ("", DENIED, DatabaseError)],
)
def test_pg_dump(token: str, words: str, kind: type[DatabaseError], tmp_path: Path) -> None:
    snapshot = Snapshot(None, Dsn("shop"), "1", token, (), (), 10.0)  # type: ignore[arg-type]
    reader = _Sql(Path("pg_dump"), snapshot, tmp_path)
    reader._process = SimpleNamespace(returncode=1)  # type: ignore[assignment]
    reader.rows = {"thing": 1}
    with pytest.raises(DatabaseError, match="pg_dump failed") as failed:
        reader._check(words)
    assert type(failed.value) is kind


@pytest.mark.parametrize(("state", "again"), [("40001", True), ("55P03", True), ("57P01", False)])
@pytest.mark.parametrize("name", ["sqlstate", "pgcode"])
def test_the_application_s_django(name: str, state: str, again: bool) -> None:
    error = RuntimeError()
    error.__cause__ = RuntimeError()
    setattr(error.__cause__, name, state)
    assert locked_out(error) is again
