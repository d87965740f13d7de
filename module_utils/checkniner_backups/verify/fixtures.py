"""Proving restored fixtures: the application dumps them again, and they must be those of the archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..django_app.digest import FixtureDigest
from .database import NOT_PROVEN, Verification

if TYPE_CHECKING:
    from ..django_app.process import FixturesProcess


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
