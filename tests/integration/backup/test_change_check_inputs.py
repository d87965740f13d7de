"""What change checks rest on: settings, a memory, a token, a role that may only read; and they leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import time

import psycopg
import pytest
from checkniner_backups.backup.changes import CheckLevel
from checkniner_backups.errors import BackupsError
from checkniner_backups.postgres import session

from sandbox.postgres import Cluster
from tests.change_checks import ChangeChecks, checks, must_be_quiet, must_ignore, must_see

__all__ = ["checks"]


def test_other_settings_another_database_and_a_lost_memory_save_again(checks: ChangeChecks, cluster: Cluster) -> None:
    for changed in ({"business_apps": ("auth", "checkouts", "sessions")}, {"recipients": ("A" * 40,)},
                    {"ignored_fields": ("auth.user.email",)}, {"name": "other"}):  # fmt: skip
        checks.set(**changed)
        must_see(checks, "settings")
    checks.application.change_noise()
    must_see(checks, "django_session")  # sessions are business now
    for damage in (b"", b"[]", b'"x"', b"\xff\xfe", b'{"version": 1}'):
        (checks.state.folder / "state.json").write_bytes(damage)
        must_see(checks, "nothing is known")

    database = checks.application.database
    copy = f"{database.name}_copy"
    cluster.create_database(copy, database.user, database.name)  # the same rows
    checks.set(database_url=cluster.url(copy, database.user, database.password))
    must_see(checks, database.name)
    checks.set(database_url="")
    must_see(checks, copy)

    # A database of the same name in its place: equal rows are equal data, others are not.
    for statement in ("", "DELETE FROM checkouts_pilotweight"):
        if statement:
            cluster.execute(statement, database=copy)
        cluster.drop_database(database.name)
        cluster.create_database(database.name, database.user, copy)
        if statement:
            must_see(checks, "checkouts_pilotweight")
        else:
            must_ignore(checks, CheckLevel.ROWS)


def test_the_daily_full_check_finds_what_lying_cheap_checks_would_hide(checks: ChangeChecks) -> None:
    checks.application.change()
    saved = checks.state.load()
    assert saved
    token = read_token_elsewhere(checks)
    text = (checks.state.folder / "state.json").read_text()
    (checks.state.folder / "state.json").write_text(text.replace(saved.snapshot_token, token))
    assert checks.check().level is CheckLevel.SNAPSHOT  # it lies, as made
    checks.set(full_check_every=0.0)
    verdict = checks.check()
    assert verdict.changed
    assert checks.dumped.fault
    assert "Changed" in checks.sql
    quiet = checks.check()
    assert (quiet.changed, quiet.level) == (False, CheckLevel.FULL)
    assert not checks.dumped.fault


def read_token_elsewhere(checks: ChangeChecks) -> str:
    """Return the database's token now."""
    from checkniner_backups.postgres.dsn import parse_url
    from checkniner_backups.postgres.snapshot_token import read_token

    return read_token(parse_url(checks.application.database.url))


def test_the_two_ways_of_taking_the_mark_agree(checks: ChangeChecks) -> None:
    """By psql, and in a transaction: else the snapshot check would never see what the others have remembered."""
    must_be_quiet(checks)  # which is the proof
    saved = checks.state.load()
    assert saved
    assert saved.snapshot_token.count("/") == 6
    assert read_token_elsewhere(checks).partition("/")[2] == saved.snapshot_token.partition("/")[2]


def test_a_read_only_role_is_enough_and_what_it_may_not_read_is_an_error(
    checks: ChangeChecks, cluster: Cluster
) -> None:
    database = checks.application.database
    role, password = f"reader_{os.urandom(3).hex()}", "reader-password"
    cluster.create_role(role, password)
    try:
        for statement in (f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
                          f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"):  # fmt: skip
            database.execute(statement)
        checks.set(database_url=cluster.url(database.name, role, password))
        must_see(checks, database.name)
        checks.application.change()
        must_see(checks, "checkouts_airstrip")
        checks.application.change_noise()
        must_ignore(checks, CheckLevel.ROWS)
        assert all(each["last_value"] for each in sequences_of(checks))

        database.execute("CREATE TABLE secret_things (id int PRIMARY KEY)")
        with pytest.raises(BackupsError, match="secret_things") as refused:
            checks.check()
        assert "SELECT" in refused.value.hint
        database.execute("DROP TABLE secret_things")
        database.execute(f"REVOKE SELECT ON SEQUENCE auth_user_id_seq FROM {role}")
        with pytest.raises(BackupsError, match="auth_user_id_seq"):
            checks.check(force=True)
        database.execute(f"GRANT SELECT ON SEQUENCE auth_user_id_seq TO {role}")

        # Rows that a policy hides are no rows that may be left out.
        database.execute("ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY")
        database.execute(f"CREATE POLICY a_few ON auth_user TO {role} USING (id < 3)")
        with pytest.raises(BackupsError, match="row-level security"):
            checks.check()
        database.execute("ALTER TABLE auth_user DISABLE ROW LEVEL SECURITY")
        must_ignore(checks, CheckLevel.ROWS)
    finally:
        cluster.execute(f"DROP OWNED BY {role}", database=database.name)
        cluster.execute(f"DROP ROLE {role}")


def sequences_of(checks: ChangeChecks) -> list[dict[str, object]]:
    """Force a dump; return what the manifest would say of sequences that were used."""
    assert checks.check(force=True).changed
    assert checks.dumped.dataset
    return [each for each in checks.dumped.dataset.sequences if each["name"] == "checkouts_airstrip_id_seq"]


def test_no_connection_process_or_thread_stays_behind(checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from checkniner_backups.backup import detect as looking
    from checkniner_backups.backup import dump as dataset

    def failing(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def children() -> str:
        argv = ["ps", "--ppid", str(os.getpid()), "-o", "args="]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    for module, name in ((dataset, "table_metadata"), (dataset, "digest_table"), (dataset, "columns_of"),
                         (dataset, "dump_program"), (looking.changes, "take_fingerprint"),
                         (dataset.RowCounter, "feed")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, name, failing)
            with pytest.raises(ZeroDivisionError):
                checks.check(force=True)
        assert [each for each in threading.enumerate() if each.name.startswith(("reader", "application"))] == []
        assert "pg_dump" not in children()
        assert str(checks.application.path) not in children()
        assert not (checks.state.folder / "work").exists()
        with psycopg.connect(checks.application.database.admin_url) as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            count = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
            for _ in range(100):
                left = connection.execute(count).fetchall()
                connection.rollback()
                if left == [(0,)]:
                    break
            else:
                raise AssertionError(left)


def test_a_clock_that_differs_from_the_database_servers_is_told(
    checks: ChangeChecks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert "clock" not in caplog.text
    real = time.time
    monkeypatch.setattr(session.time, "time", lambda: real() + 600)  # of this machine there is one clock alone
    checks.application.change()
    must_see(checks)
    assert "the clock of the database server is 10 min behind this machine's" in caplog.text
    remembered = checks.state.load()
    assert remembered
    assert any("clock" in warning for warning in remembered.warnings)
