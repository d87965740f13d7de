"""Proving restored fixtures: the application dumps them again, and they must be those of the archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..django_app.digest import FixtureDigest
from ..errors import shortened
from .database import NOT_PROVEN, Verification

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..django_app.process import FixturesProcess
    from ..django_app.registry import Registry


@dataclass(frozen=True)
class Fixtures:
    """What the application would dump: the digest (hex) of each app's fixture, and how many objects there are."""

    digests: Mapping[str, str]
    objects: int


def digest_fixtures(
    process: FixturesProcess, apps: Sequence[str] = (), *, inside: bool = False, without: Collection[str] = ()
) -> Fixtures:
    """Given the application on a database, dump fixtures to nowhere and return their digests.

    :param apps: labels; empty for all
    :param inside: within the transaction of a load that is not committed yet
    :param without: labels of models that are on views: their objects are left out
    """
    digests: dict[str, FixtureDigest] = {}

    def open_member(app: str) -> FixtureDigest:
        return digests.setdefault(app, FixtureDigest(without))

    report = process.dump(
        snapshot=None, lock_tables=[], lock_timeout=0, apps=list(apps) or None, open_member=open_member, inside=inside
    )
    objects = sum(model.objects for model in report.models)
    return Fixtures({app: digest.hexdigest() for app, digest in digests.items()}, objects)


def verify_fixtures(
    process: FixturesProcess, expected: Mapping[str, str], *, inside: bool = False, without: Collection[str] = ()
) -> Verification:
    """Given the application on the restored database and the digests (hex) of what was loaded, compare.

    The fixtures' form makes this possible: what a new database numbers anew (content types, permissions) is written
    by natural key, and in the order of natural keys. Those of the old scripts have another form: expect nothing then.
    """
    if not expected:
        return NOT_PROVEN
    found = digest_fixtures(process, tuple(expected), inside=inside, without=without)
    differences = [f"the fixture of {app}" for app, digest in expected.items() if found.digests.get(app) != digest]
    if differences:
        summary = f"NOT equal to the archive: {', '.join(differences)}"
        return Verification(False, len(expected), found.objects, tuple(differences), summary)
    summary = f"proven: fixtures of {len(expected)} apps, {found.objects} objects"
    if views := sorted(label for label in without if label.partition(".")[0] in expected):
        summary += f"; {', '.join(views)} show rows of other tables, and were left to the database"
    return Verification(True, len(expected), found.objects, (), summary)


def in_no_fixture(manifest: Manifest, registry: Registry, apps: Collection[str]) -> dict[str, int]:
    """Given an archive's manifest, the application's models, and the apps that were loaded, return the tables of these
    whose rows no fixture holds, with their number.

    They have the name of a model's table, and lie in another schema than the one that the application found first, as
    those of django-tenants' tenants do. Where all fixtures were loaded, apps without one count too.
    """
    path = manifest.database.get("search_path", ())
    if not path:  # an earlier release: nobody knows which one the application read
        return {}
    rows = {(each["schema"], each["name"]): each["rows"] for each in manifest.tables}
    whole = set(apps) >= set(manifest.fixtures.get("apps", ()))
    read: set[tuple[str, str]] = set()
    named: set[str] = set()
    for app in {*apps, *(registry.elsewhere if whole else ())}:
        for model in registry.apps.get(app, ()):
            for table in (*([] if model.proxy else [model.table]), *model.through.values()):
                if '"."' not in table:
                    name = table.strip('"')
                    named.add(name)
                    read.update([(schema, name) for schema in path if (schema, name) in rows][:1])
        for routed in registry.elsewhere.get(app, {}).values():
            if routed.read_here:
                named.update(table.strip('"') for table in routed.tables if '"."' not in table)
    found = {key: count for key, count in rows.items() if count and key[1] in named and key not in read}
    return {".".join(key): count for key, count in sorted(found.items())}


def of_no_model(manifest: Manifest, apps: Collection[str]) -> tuple[str, ...]:
    """Given an archive's manifest and the apps that were loaded, return the quoted names of the tables that belong to
    no model and hold rows: these are in the archive's SQL alone. Empty where not all fixtures were loaded.
    """
    if not set(apps) >= set(manifest.fixtures.get("apps", ())):
        return ()
    empty = {name for each in manifest.tables if not each["rows"] for name in _names(each["schema"], each["name"])}
    return tuple(name for name in manifest.fixtures.get("no_model", ()) if name not in empty)


def _names(schema: str, name: str) -> set[str]:
    """Return how the table's name may be quoted."""
    either = [(part, '"' + part.replace('"', '""') + '"') for part in (schema, name)]
    return {f"{first}.{second}" for first in either[0] for second in either[1]}


def with_tables_of_no_model(verification: Verification, names: Sequence[str]) -> Verification:
    """Given what was proven of fixtures, and tables that no fixture can hold, return it with a word on these."""
    if not names or verification.failed:
        return verification
    told = f"in the archive's SQL alone, for no model has them: rows of {shortened(names)}"
    return replace(verification, summary=f"{verification.summary}; {told}")


def qualified_by(verification: Verification, left_out: Mapping[str, int]) -> Verification:
    """Given what was proven of fixtures, and tables that are in none, return what that is worth: not the whole."""
    if not left_out or verification.failed:
        return verification
    summary = (
        f"NOT whole: {sum(left_out.values())} rows of {len(left_out)} tables are in no fixture, only in the archive's"
        f" SQL (restore from SQL instead): {shortened(list(left_out))}; the rest is {verification.summary}"
    )
    return replace(verification, proven=False, summary=summary)
