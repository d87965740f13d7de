"""Fixtures are loaded as `loaddata` loads them, all or nothing."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.django_app.digest import FixtureDigest
from checkniner_backups.django_app.process import FixturesProcess
from checkniner_backups.errors import ApplicationError

from tests.plugins.fixtures_project import KindsProject, Members
from tests.plugins.postgres import Database

MANY = ("groups", "permissions", "friends", "tags", "softs", "books", "others")
# After `migrate` on another machine, content types and permissions may have any ids.
RENUMBER = """
    SET session_replication_role = replica;
    UPDATE django_content_type SET id = id + 1000;
    UPDATE auth_permission SET content_type_id = content_type_id + 1000, id = 3000 - id;
    SELECT setval('django_content_type_id_seq', 2000), setval('auth_permission_id_seq', 4000)
"""


@pytest.fixture
def target(kinds: KindsProject) -> Iterator[Database]:
    """A migrated database whose content types and permissions have other ids than those of `filled`."""
    with kinds.database("migrated") as database:
        kinds.cluster.execute(RENUMBER, database=database.name)
        yield database


@pytest.fixture(scope="session")
def before(kinds: KindsProject, tmp_path_factory: pytest.TempPathFactory) -> Members:
    """What `filled` holds."""
    with kinds.database("filled") as database:
        return dumped(kinds, database, tmp_path_factory.mktemp("before"))


def dump(process: FixturesProcess) -> Members:
    members = Members()
    process.dump(snapshot=None, lock_tables=[], lock_timeout=5, apps=None, open_member=members.open)
    return members


def pieces(text: bytes, size: int = 70_000) -> Iterator[bytes]:
    yield from (text[start : start + size] for start in range(0, len(text), size))


def ordered(members: Members) -> Iterator[tuple[str, Iterator[bytes]]]:
    yield from ((app, pieces(members[app])) for app in members.closed)


def content(database: Database, like: str = "%") -> dict[str, list[Any]]:
    """All rows of all tables."""
    tables = database.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE %s ORDER BY 1", [like]
    )
    return {name: database.execute(f'SELECT t::text FROM "{name}" t ORDER BY 1') for (name,) in tables}


def dumped(kinds: KindsProject, database: Database, folder: Path) -> Members:
    with kinds.start(database.url, folder) as process:
        return dump(process)


def same(kinds: KindsProject, before: Members, after: Members) -> None:
    """Equal, but for microseconds that JSON has cut away."""
    assert before.closed == after.closed
    for app in before.closed:
        assert plain_seconds(before[app]) == plain_seconds(after[app])
        assert digest(before[app]) == digest(after[app])


def plain_seconds(text: bytes) -> bytes:
    return re.sub(rb':(\d\d)\.000(Z?")', rb":\1\2", text)


def digest(text: bytes) -> str:
    found = FixtureDigest()
    found.write(text)
    found.close()
    return found.hexdigest()


def test_what_is_loaded_is_what_was_dumped(
    kinds: KindsProject, filled: Database, before: Members, target: Database, tmp_path: Path
) -> None:
    target.execute("INSERT INTO auth_group (name) VALUES ('made by a data migration')")
    with kinds.start(target.url, tmp_path) as process:
        report = process.load(before.closed, ordered(before), empty=True)
        same(kinds, before, dump(process))
    assert report.apps == tuple(before.closed)
    assert report.digests == {app: digest(before[app]) for app in before.closed}
    assert report.objects["kinds.everything"] == 60
    # What Django's JSON keeps is the same in the tables: ids, raw values, times set by auto_now.
    rows = (
        "SELECT id, name, text, day, date_trunc('milliseconds', changed), price, blob FROM kinds_everything ORDER BY 1"
    )
    assert filled.execute(rows) == target.execute(rows)
    (wanted,) = filled.execute("SELECT max(id) + 1 FROM kinds_everything")
    insert = (
        "INSERT INTO kinds_note (content_type_id, object_id) SELECT min(id), 1 FROM django_content_type RETURNING id"
    )
    assert target.execute(insert) == [(2,)]
    group = target.execute("INSERT INTO auth_group (name) VALUES ('new') RETURNING id")
    assert group[0][0] > 3
    assert wanted


def test_it_is_what_loaddata_loads(kinds: KindsProject, before: Members, target: Database, tmp_path: Path) -> None:
    for app in before.closed:
        (tmp_path / f"{app}.json").write_bytes(before[app])
    with kinds.database("migrated") as other:
        kinds.cluster.execute(RENUMBER, database=other.name)
        paths = [str(tmp_path / f"{app}.json") for app in before.closed]
        kinds.run(f"from django.core.management import call_command as c; c('loaddata', *{paths!r})", other.url)
        with kinds.start(target.url, tmp_path) as process:
            process.load(before.closed, ordered(before), empty=False)
        with_ids = content(target, "kinds%")
        for name, rows in content(other, "kinds%").items():
            if any(name.endswith(f"_{many}") for many in MANY):
                continue  # rows without a meaning of their own, numbered as they come
            assert rows == with_ids[name], name
        same(kinds, dumped(kinds, other, tmp_path), dumped(kinds, target, tmp_path))


def test_plain_fixtures_of_the_old_scripts(
    kinds: KindsProject, filled: Database, before: Members, target: Database, tmp_path: Path
) -> None:
    """Plain `dumpdata` names content types and permissions by ids that mean something else here."""
    plain = {}
    code = "from django.core.management import call_command as c\nc({!r}, {!r}, exclude=['kinds.absent'], output={!r})"
    for app in before.closed:
        path = tmp_path / f"plain-{app}.json"
        kinds.run(code.format("dumpdata", app, str(path)), filled.url)
        plain[app] = path.read_bytes()
    assert b'"pk"' in plain["auth"][:200]
    with kinds.start(target.url, tmp_path) as process, pytest.raises(ApplicationError, match="load contenttypes"):
        process.load(["auth"], [("auth", [plain["auth"]])], empty=True)
    with kinds.start(target.url, tmp_path) as process:
        report = process.load([], ((app, pieces(plain[app], 1000)) for app in before.closed), empty=True)
        after = dump(process)
    assert report.apps == tuple(before.closed)
    for app in before.closed:
        saved, found = json.loads(plain_seconds(before[app])), json.loads(plain_seconds(after[app]))
        # Without --all, rows that a manager hides were not saved.
        assert [each for each in saved if each["fields"].get("deleted") is not True] == found


def broken(before: Members, app: str, change: Any) -> Iterable[tuple[str, Iterator[bytes]]]:
    for each in before.closed:
        yield each, pieces(change(before[each]) if each == app else before[each])


@pytest.mark.parametrize(
    ("app", "change", "words"),
    [
        ("kinds", lambda text: text[:-5000], "not valid JSON|ends early"),
        ("kinds", lambda text: text.replace(b"kinds.note", b"kinds.nonsense"), "no model 'kinds.nonsense'"),
        ("kinds", lambda text: text.replace(b"kinds.note", b"auth.group"), "holds an object of auth.group"),
        ("kinds", lambda text: text.replace(b'"object_id"', b'"object_number"'), "no field object_number"),
        ("kinds", lambda text: text.replace(b'"parent": 1', b'"parent": 999999'), "foreign key|violates"),
        ("kinds", lambda text: text.replace(b'"whole": null', b'"whole": "x"'), "whole|integer"),
        ("kinds", lambda text: text.replace(b'"small": 5,', b'"small": 99999,'), "cannot load kinds.Everything"),
        ("auth", lambda _: b"{}", "not a JSON list"),
    ],
)  # fmt: skip
def test_an_error_leaves_everything_as_it_was(
    *, app: str, change: Any, words: str, kinds: KindsProject, before: Members, target: Database, tmp_path: Path
) -> None:
    target.execute("INSERT INTO auth_group (name) VALUES ('still there')")
    rows = content(target)
    with kinds.start(target.url, tmp_path) as process:
        with pytest.raises(ApplicationError, match=words) as caught:
            process.load(before.closed, broken(before, app, change), empty=True)
        assert "\n" not in caught.value.message
    assert content(target) == rows


def test_a_load_that_is_cut_off_leaves_everything_as_it_was(
    kinds: KindsProject, before: Members, target: Database, tmp_path: Path
) -> None:
    rows = content(target)

    def members() -> Iterator[tuple[str, Iterator[bytes]]]:
        yield "contenttypes", pieces(before["contenttypes"])
        yield "auth", pieces(before["auth"])
        raise OSError("the archive is damaged")

    with kinds.start(target.url, tmp_path) as process, pytest.raises(OSError, match="damaged"):
        process.load(before.closed, members(), empty=True)
    assert content(target) == rows


def test_rows_of_other_apps_are_never_deleted_by_the_database(
    kinds: KindsProject, before: Members, target: Database, tmp_path: Path
) -> None:
    target.execute("INSERT INTO kinds_tag (word) VALUES ('x')")
    target.execute("CREATE TABLE stranger (word varchar(50) REFERENCES kinds_tag ON DELETE CASCADE)")
    target.execute("INSERT INTO stranger VALUES ('x')")
    with kinds.start(target.url, tmp_path) as process, pytest.raises(ApplicationError, match="stranger"):
        process.load(before.closed, ordered(before), empty=True)
    assert target.execute("SELECT count(*) FROM stranger") == [(1,)]


def test_into_sqlite(kinds: KindsProject, before: Members, tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'database'}"
    kinds.migrate(url)
    kept = [app for app in before.closed if app in ("contenttypes", "auth", "taggit", "tagged")]
    with kinds.start(url, tmp_path) as process:
        process.load(kept, ((app, pieces(before[app])) for app in kept), empty=True)
        after = dump(process)
    for app in kept:
        assert digest(before[app]) == digest(after[app])
    with sqlite3.connect(tmp_path / "database") as connection:
        assert connection.execute("SELECT count(*) FROM auth_user").fetchone() == (6,)
