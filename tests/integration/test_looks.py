"""What looks stand on: settings, a memory, a mark, a role that may only read; and they leave nothing behind."""

from __future__ import annotations

import os
import subprocess

import psycopg
import pytest
from checkniner_backups.backup.changes import Look
from checkniner_backups.errors import BackupsError

from sandbox.postgres import Cluster
from tests.looks import Looks, looks, must_be_quiet, must_ignore, must_see

__all__ = ["looks"]


def test_other_settings_another_database_and_a_lost_memory_save_again(looks: Looks, cluster: Cluster) -> None:
    for changed in ({"business_apps": ("auth", "checkouts", "sessions")}, {"recipients": ("A" * 40,)},
                    {"ignored_fields": ("auth.user.email",)}, {"name": "other"}):  # fmt: skip
        looks.set(**changed)
        must_see(looks, "settings")
    looks.application.change_noise()
    must_see(looks, "django_session")  # sessions are business now
    for damage in (b"", b"[]", b'"x"', b"\xff\xfe", b'{"version": 1}'):
        (looks.state.folder / "state.json").write_bytes(damage)
        must_see(looks, "nothing is known")

    database = looks.application.database
    copy = f"{database.name}_copy"
    cluster.create_database(copy, database.user, database.name)  # the same rows
    looks.set(database_url=cluster.url(copy, database.user, database.password))
    must_see(looks, database.name)
    looks.set(database_url="")
    must_see(looks, copy)

    # A database of the same name in its place: equal rows are equal data, others are not.
    for statement in ("", "DELETE FROM checkouts_pilotweight"):
        if statement:
            cluster.execute(statement, database=copy)
        cluster.drop_database(database.name)
        cluster.create_database(database.name, database.user, copy)
        if statement:
            must_see(looks, "checkouts_pilotweight")
        else:
            must_ignore(looks, Look.ROWS)


def test_the_daily_full_look_finds_what_lying_cheap_looks_would_hide(looks: Looks) -> None:
    looks.application.change()
    saved = looks.state.load()
    assert saved
    mark = subprocess_mark(looks)
    text = (looks.state.folder / "state.json").read_text()
    (looks.state.folder / "state.json").write_text(text.replace(saved.mark, mark))
    assert looks.look().look is Look.MARK  # it lies, as made
    looks.set(full_look_every=0.0)
    verdict = looks.look()
    assert verdict.changed
    assert looks.dumped.fault
    assert "Changed" in looks.sql
    quiet = looks.look()
    assert (quiet.changed, quiet.look) == (False, Look.FULL)
    assert not looks.dumped.fault


def subprocess_mark(looks: Looks) -> str:
    """Return the database's mark now."""
    from checkniner_backups.postgres.dsn import parse_url
    from checkniner_backups.postgres.mark import cheap_mark

    return cheap_mark(parse_url(looks.application.database.url))


def test_the_two_ways_of_taking_the_mark_agree(looks: Looks) -> None:
    """By psql, and in a transaction: else the first look would never see what the others have remembered."""
    must_be_quiet(looks)  # which is the proof
    saved = looks.state.load()
    assert saved
    assert saved.mark.count("/") == 6
    assert subprocess_mark(looks).partition("/")[2] == saved.mark.partition("/")[2]


def test_a_read_only_role_is_enough_and_what_it_may_not_read_is_an_error(looks: Looks, cluster: Cluster) -> None:
    database = looks.application.database
    role, password = f"reader_{os.urandom(3).hex()}", "reader-password"
    cluster.create_role(role, password)
    try:
        for statement in (f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
                          f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"):  # fmt: skip
            database.execute(statement)
        looks.set(database_url=cluster.url(database.name, role, password))
        must_see(looks, database.name)
        looks.application.change()
        must_see(looks, "checkouts_airstrip")
        looks.application.change_noise()
        must_ignore(looks, Look.ROWS)
        assert all(each["last_value"] for each in looks_sequences(looks))

        database.execute("CREATE TABLE secret_things (id int PRIMARY KEY)")
        with pytest.raises(BackupsError, match="secret_things") as refused:
            looks.look()
        assert "SELECT" in refused.value.hint
        database.execute("DROP TABLE secret_things")
        database.execute(f"REVOKE SELECT ON SEQUENCE auth_user_id_seq FROM {role}")
        with pytest.raises(BackupsError, match="auth_user_id_seq"):
            looks.look(force=True)
        database.execute(f"GRANT SELECT ON SEQUENCE auth_user_id_seq TO {role}")

        # Rows that a policy hides are no rows that may be left out.
        database.execute("ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY")
        database.execute(f"CREATE POLICY a_few ON auth_user TO {role} USING (id < 3)")
        with pytest.raises(BackupsError, match="row-level security"):
            looks.look()
        database.execute("ALTER TABLE auth_user DISABLE ROW LEVEL SECURITY")
        must_ignore(looks, Look.ROWS)
    finally:
        cluster.execute(f"DROP OWNED BY {role}", database=database.name)
        cluster.execute(f"DROP ROLE {role}")


def looks_sequences(looks: Looks) -> list[dict[str, object]]:
    """Force a dump; return what the manifest would say of sequences that were used."""
    assert looks.look(force=True).changed
    assert looks.dumped.dataset
    return [each for each in looks.dumped.dataset.sequences if each["name"] == "checkouts_airstrip_id_seq"]


def test_no_connection_process_or_thread_stays_behind(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from checkniner_backups.backup import detect as looking
    from checkniner_backups.backup import dump as dataset

    def failing(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    def children() -> str:
        argv = ["ps", "--ppid", str(os.getpid()), "-o", "args="]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    for module, name in ((dataset, "table_facts"), (dataset, "digest_table"), (dataset, "columns_of"),
                         (dataset, "dump_program"), (looking.changes, "take_fingerprint"),
                         (dataset.RowCounter, "feed")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(module, name, failing)
            with pytest.raises(ZeroDivisionError):
                looks.look(force=True)
        assert [each for each in threading.enumerate() if each.name.startswith(("reader", "application"))] == []
        assert "pg_dump" not in children()
        assert str(looks.application.path) not in children()
        assert not (looks.state.folder / "work").exists()
        with psycopg.connect(looks.application.database.admin_url) as connection:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            count = f"SELECT count(*) FROM pg_stat_activity WHERE {others}"
            for _ in range(100):
                left = connection.execute(count).fetchall()
                connection.rollback()
                if left == [(0,)]:
                    break
            else:
                raise AssertionError(left)
