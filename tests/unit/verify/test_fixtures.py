"""Which rows a restore from fixtures lacks: those of tables that share a model's name in another schema."""

from __future__ import annotations

from datetime import datetime, timezone

from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.django_app.registry import Model, Registry, RoutedModel
from checkniner_backups.verify.database import Verification
from checkniner_backups.verify.fixtures import in_no_fixture, qualified_by


def manifest(*tables: str, search_path: tuple[str, ...] = ("public",), apps: tuple[str, ...] = ("auth",)) -> Manifest:
    """Given tables as `schema.name`, return a manifest in which each has two rows."""
    return Manifest(
        application="checkniner",
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
        members=(),
        database={"search_path": list(search_path)} if search_path else {},
        tables=[dict(zip(("schema", "name"), each.split("."), strict=True), rows=2) for each in tables],
        fixtures={"apps": dict.fromkeys(apps, 2)},
    )


def model(app: str, table: str, **through: str) -> Model:
    return Model(f"{app}.{table}", table, proxy=False, managed=True, fields={}, through=through)


REGISTRY = Registry(
    django="5.2",
    python="3.11",
    apps={"auth": (model("auth", "auth_user", groups="auth_user_groups"),), "own": (model("own", 'own"."t'),)},
    elsewhere={
        "crm": {
            "crm.person": RoutedModel(("crm_person",), read_here=True),
            "crm.far": RoutedModel(("crm_far",), read_here=False),
        }
    },
)


def test_tables_of_tenants_are_in_no_fixture() -> None:
    tables = (
        "public.auth_user",
        "acme.auth_user",
        "acme.auth_user_groups",
        "acme.crm_person",
        "acme.crm_far",
        "acme.x",
    )
    found = in_no_fixture(manifest(*tables, "public.auth_user_groups"), REGISTRY, ["auth"])
    assert found == {"acme.auth_user": 2, "acme.auth_user_groups": 2, "acme.crm_person": 2}


def test_the_first_schema_of_the_search_path_is_the_one_that_was_read() -> None:
    held = manifest("shop.auth_user", "public.auth_user", search_path=("shop", "public"))
    assert in_no_fixture(held, REGISTRY, ["auth"]) == {"public.auth_user": 2}


def test_of_some_apps_only_their_own_tables_are_missed() -> None:
    held = manifest("public.auth_user", "acme.auth_user", "acme.crm_person", apps=("auth", "own"))
    assert in_no_fixture(held, REGISTRY, ["own"]) == {}
    assert in_no_fixture(held, REGISTRY, ["auth"]) == {"acme.auth_user": 2}


def test_where_nothing_is_known_or_nothing_is_missed_nothing_is_said() -> None:
    assert in_no_fixture(manifest("a.auth_user", "public.auth_user", search_path=()), REGISTRY, ["auth"]) == {}
    assert in_no_fixture(manifest("public.auth_user", "own.t"), REGISTRY, ["auth", "own"]) == {}


def test_what_lacks_rows_is_not_proven() -> None:
    proven = Verification(True, 1, 2, (), "proven: fixtures of 1 apps, 2 objects")
    assert qualified_by(proven, {}) == proven
    found = qualified_by(proven, {"acme.auth_user": 2, "acme.crm_person": 3})
    assert not found.proven
    assert not found.failed
    assert found.summary.startswith("NOT whole: 5 rows of 2 tables are in no fixture")
    assert "acme.crm_person" in found.summary
