"""Proving restored fixtures: the application dumps them again, and they must be the very bytes of the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .proof import NOT_PROVEN, Proof

if TYPE_CHECKING:
    from .fixtures import FixturesProcess
    from .manifest import Manifest


class _Digest:
    """A member that nobody keeps: only its digest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return len(data)

    def close(self) -> None:
        """Nothing to close."""

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Fixtures:
    """What the application would dump: the digest (hex) of each app's fixture, and how many objects there are."""

    digests: Mapping[str, str]
    objects: int


def digest_fixtures(process: FixturesProcess, apps: Sequence[str] = (), *, inside: bool = False) -> Fixtures:
    """Given the application on a database, dump fixtures to nowhere and return their digests.

    :param apps: labels; empty for all
    :param inside: within the transaction of a load that is not committed yet
    """
    digests: dict[str, _Digest] = {}

    def open_member(app: str) -> _Digest:
        return digests.setdefault(app, _Digest())

    report = process.dump(
        snapshot=None, lock_tables=[], lock_timeout=0, apps=list(apps) or None, open_member=open_member, inside=inside
    )
    objects = sum(model.objects for model in report.models)
    return Fixtures({app: digest.hexdigest() for app, digest in digests.items()}, objects)


def prove_fixtures(
    process: FixturesProcess, manifest: Manifest | None, apps: tuple[str, ...], *, inside: bool = False
) -> Proof:
    """Given the application on the restored database, the manifest and the apps that were loaded, compare digests.

    The fixtures' form makes this possible: what a new database numbers anew (content types, permissions) is written
    by natural key, and in the order of natural keys.
    """
    if manifest is None:
        return NOT_PROVEN
    found = digest_fixtures(process, apps, inside=inside)
    differences = []
    for app in apps:
        member = manifest.member(f"{app}.json")
        if member is None or found.digests.get(app) != member.sha256:
            differences.append(f"the fixture of {app}")
    if differences:
        words = f"NOT equal to the archive: {', '.join(differences)}"
        return Proof(False, len(apps), found.objects, tuple(differences), words)
    return Proof(True, len(apps), found.objects, (), f"proven: fixtures of {len(apps)} apps, {found.objects} objects")
