"""What stands in no table of the application counts as well: large objects, comments, rows of extensions' tables."""

from __future__ import annotations

import hashlib
import json

import pytest
from checkniner_backups.archive.manifest import parse_manifest
from checkniner_backups.postgres.dsn import parse_url
from checkniner_backups.postgres.large_objects import digest_large_objects
from checkniner_backups.postgres.snapshot import plain_reader
from checkniner_backups.verify.database import verify_rows, verify_sql

from tests.change_checks import ChangeChecks, checks, must_be_quiet, must_see
from tests.sql_round import Round, manifest_of, saved_and_restored

__all__ = ["checks", "saved_and_restored"]

# An extension's own table, as `pg_extension_config_dump` would have registered it.
CONFIGURED = [
    "CREATE EXTENSION file_fdw",
    "CREATE TABLE public.settings_of (name text PRIMARY KEY, own boolean)",
    "INSERT INTO settings_of VALUES ('built-in', false), ('mine', true)",
    "GRANT SELECT ON settings_of TO PUBLIC",
    "ALTER EXTENSION file_fdw ADD TABLE settings_of",
    "UPDATE pg_extension SET extconfig = ARRAY['settings_of'::regclass::oid], extcondition = ARRAY['WHERE own']"
    " WHERE extname = 'file_fdw'",
]


def test_a_change_of_a_large_object_is_seen(checks: ChangeChecks) -> None:
    database = checks.application.database
    for statement in (
        "SELECT lo_from_bytea(4711, 'FIRST')",
        "SELECT lo_put(4711, 0, 'SECOND')",
        "SELECT lo_put(4711, 20000000, 'far away')",
        "SELECT lo_put(4711, 8388607, 'across a border')",
        "SELECT lo_create(4712)",
        "SELECT lo_unlink(4711)",
        "SELECT lo_unlink(4712)",
    ):
        database.execute(statement)
        must_see(checks, "rows of large objects")
    database.execute("SELECT lo_create(1)")
    must_see(checks, "rows of large objects")
    database.execute("BEGIN; SELECT lo_put(1, 0, 'x'); ROLLBACK")
    assert not checks.check().changed


def test_the_full_comparison_sees_a_large_object_too(checks: ChangeChecks) -> None:
    checks.application.database.execute("SELECT lo_from_bytea(4711, 'FIRST')")
    must_see(checks, "rows of large objects")
    checks.set(full_check_every=0)
    checks.application.database.execute("SELECT lo_put(4711, 0, 'SECOND')")
    verdict = checks.check()
    assert verdict.changed
    assert verdict.reason.endswith("rows of large objects")


def test_a_change_of_an_extensions_row_is_seen(checks: ChangeChecks) -> None:
    database = checks.application.database
    for statement in CONFIGURED:
        database.cluster.execute(statement, database=database.name)
    must_see(checks, "rows of public.settings_of")
    database.cluster.execute("INSERT INTO settings_of VALUES ('another', true)", database=database.name)
    must_see(checks, "rows of public.settings_of")
    database.cluster.execute("INSERT INTO settings_of VALUES ('of the extension', false)", database=database.name)
    assert not checks.check().changed
    must_be_quiet(checks)


@pytest.mark.parametrize("size", [0, 1, 8388607, 8388608, 8388609, 20_000_000])
def test_the_digest_of_a_large_object_is_that_of_its_bytes(saved_and_restored: Round, size: int) -> None:
    database = saved_and_restored.database
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    database.execute("SELECT lo_from_bytea(4711, %s)", (content,))
    lines = []
    for start in range(0, size + 1, 8388608):
        piece = content[start : start + 8388608]
        lines.append(f"4711\t{start}\t{len(piece)}\t\\\\x{hashlib.sha256(piece).hexdigest()}\n")
    with plain_reader(parse_url(database.url)) as (connection, _):
        found = digest_large_objects(connection)
    assert (found.rows, found.sha256) == (1, hashlib.sha256("".join(lines).encode()).hexdigest())


def test_large_objects_and_comments_come_back_and_are_compared(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    content = "SELECT oid::bigint, lo_get(oid) FROM pg_largeobject_metadata ORDER BY oid"
    for statement in (
        "CREATE TABLE t (i integer)",
        "CREATE EXTENSION citext",
        "COMMENT ON EXTENSION citext IS 'ours; it''s\nours'",
        f"COMMENT ON DATABASE {database.name} IS 'the application''s'",
        "SELECT lo_from_bytea(4711, 'FIRST')",
        "SELECT lo_put(4711, 0, 'SECOND')",
        "SELECT lo_create(4712)",
    ):
        database.execute(statement)
    saved_and_restored.by_admin("CREATE EXTENSION file_fdw")
    saved_and_restored.by_admin("COMMENT ON EXTENSION file_fdw IS 'the administrator''s'")
    before = database.execute(content)
    archive = saved_and_restored.save()
    assert manifest_of(archive).large_objects["count"] == 2
    assert saved_and_restored.restore(archive, "file_fdw").proven
    assert database.execute(content) == before
    comments = "SELECT extname, obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname <> 'plpgsql'"
    assert dict(database.execute(comments)) == {
        "citext": "ours; it's\nours",
        "file_fdw": "the administrator's",
    }
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    assert database.execute(query) == [("the application's",)]

    manifest, dsn = manifest_of(archive), parse_url(database.url)
    for change, back, words in (
        ("SELECT lo_put(4711, 0, 'S')", None, None),
        ("SELECT lo_put(4711, 0, 'X')", "SELECT lo_put(4711, 0, 'S')", "2 large objects as in the manifest, but with"),
        ("SELECT lo_unlink(4712)", "SELECT lo_create(4712)", "1 large objects, the manifest says 2"),
        ("COMMENT ON EXTENSION citext IS NULL", "COMMENT ON EXTENSION citext IS 'ours; it''s\nours'",
         "the comment on extension citext is None"),
        (f"COMMENT ON DATABASE {database.name} IS 'other'", None, "the database's comment is 'other'"),
    ):  # fmt: skip
        database.execute(change)
        proof = verify_sql(dsn, manifest)
        assert proof.proven == (words is None), proof
        assert any(each.startswith(words or "") for each in proof.differences or ("",)), proof
        if words and "large" in words:
            assert not verify_rows(dsn, manifest).proven
        if back:
            database.execute(back)


def test_a_database_restored_beside_the_live_one_keeps_the_note_that_tells_so(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    database.execute("CREATE TABLE t (i integer)")
    database.execute(f"COMMENT ON DATABASE {database.name} IS 'the application''s'")
    archive = saved_and_restored.save()
    name = f"{database.name}_beside"
    facts = manifest_of(archive).database
    saved_and_restored.databases.create(database.user, facts, [], name)
    assert saved_and_restored.load(archive, name).proven
    saved_and_restored.databases.drop(name, None)


def test_an_archive_that_says_nothing_of_them_is_still_proven(saved_and_restored: Round) -> None:
    database = saved_and_restored.database
    database.execute("CREATE TABLE t (i integer)")
    database.execute("SELECT lo_create(4712)")
    text = manifest_of(saved_and_restored.save()).to_json()
    value = parse_manifest(text)
    assert value.large_objects
    old = json.loads(text)
    del old["large_objects"], old["extension_tables"], old["database"]["comment"], old["database"]["extension_comments"]
    manifest = parse_manifest(json.dumps(old).encode())
    database.execute("SELECT lo_unlink(4712)")
    database.execute(f"COMMENT ON DATABASE {database.name} IS 'x'")
    assert verify_sql(parse_url(database.url), manifest).proven
    assert not verify_sql(parse_url(database.url), value).proven
