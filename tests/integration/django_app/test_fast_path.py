"""What makes reading cheap, values as COPY writes them and natural keys from memory, changes no byte of a fixture."""

from __future__ import annotations

from pathlib import Path

from tests.dumpdata import dump, expected, same
from tests.plugins.fixtures_project import KindsProject
from tests.plugins.postgres import Database

NEVER_NULL = ("day", "price", "fine", "identity")


def is_the_same(kinds: KindsProject, database: Database, folder: Path, *apps: str) -> None:
    """The fast way was taken, and prints what Django prints."""
    with kinds.start(database.url, folder) as process, kinds.reference(database.url, folder) as reference:
        members, report = dump(process, apps=apps)
        for app in apps:
            same(members[app], expected(reference, app), kinds)
    assert {model.label: model.way for model in report.models}["kinds.everything"] == "fast"


def never_null(database: Database) -> None:
    database.execute(
        "UPDATE kinds_everything SET day = coalesce(day, '0099-01-02'), price = coalesce(price, -0.10),"
        " fine = coalesce(fine, 0), identity = coalesce(identity, gen_random_uuid())"
    )
    database.execute("ALTER TABLE kinds_everything " + ", ".join(f"ALTER {name} SET NOT NULL" for name in NEVER_NULL))


def test_columns_that_are_never_null(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    never_null(filled)
    filled.execute("UPDATE kinds_everything SET fine = 'NaN', price = 'NaN' WHERE id = 40")
    is_the_same(kinds, filled, tmp_path, "kinds")


def test_rows_of_a_child_may_be_null_all_the_same(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    never_null(filled)
    filled.execute("CREATE TABLE child (LIKE kinds_everything INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    filled.execute("ALTER TABLE child INHERIT kinds_everything")
    filled.execute("ALTER TABLE child " + ", ".join(f"ALTER {name} DROP NOT NULL" for name in NEVER_NULL))
    filled.execute("INSERT INTO child SELECT * FROM ONLY kinds_everything WHERE id = 1")
    filled.execute("UPDATE child SET id = 4711, " + ", ".join(f"{name} = NULL" for name in NEVER_NULL))
    is_the_same(kinds, filled, tmp_path, "kinds")


def test_more_natural_keys_than_are_kept_in_memory(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute(
        "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff,"
        " is_active, date_joined) SELECT 1000 + n, '', false, 'many \" \\ ' || n, '', '', '', false, true, now()"
        " FROM generate_series(1, 20001) n"
    )
    filled.execute("UPDATE kinds_everything SET user_id = (SELECT max(id) FROM auth_user) WHERE id % 2 = 0")
    filled.execute("DELETE FROM auth_user_groups")
    filled.execute("DELETE FROM auth_user_user_permissions")
    is_the_same(kinds, filled, tmp_path, "kinds")


def test_natural_keys_with_what_json_must_escape(kinds: KindsProject, filled: Database, tmp_path: Path) -> None:
    filled.execute("UPDATE auth_user SET username = E'\"\\\\ \\n\\t\\x1f ü 🛩' || id")
    filled.execute("UPDATE auth_group SET name = E'\\\\\\\\\"' || id")
    filled.execute("UPDATE kinds_everything SET user_id = (SELECT min(id) FROM auth_user) WHERE id % 3 = 0")
    is_the_same(kinds, filled, tmp_path, "kinds")
