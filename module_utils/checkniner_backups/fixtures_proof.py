"""Proving restored fixtures: the application dumps them again, and they must be the very bytes of the archive."""

from __future__ import annotations

import hashlib
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


def prove_fixtures(process: FixturesProcess, manifest: Manifest | None, apps: tuple[str, ...]) -> Proof:
    """Given the application on the restored database, the manifest and the apps that were loaded, compare digests.

    The fixtures' form makes this possible: what a new database numbers anew (content types, permissions) is written
    by natural key, and in the order of natural keys.
    """
    if manifest is None:
        return NOT_PROVEN
    digests: dict[str, _Digest] = {}

    def open_member(app: str) -> _Digest:
        return digests.setdefault(app, _Digest())

    report = process.dump(snapshot=None, lock_tables=[], lock_timeout=0, apps=list(apps), open_member=open_member)
    differences = []
    for app in apps:
        member = manifest.member(f"{app}.json")
        if member is None or app not in digests or digests[app].hexdigest() != member.sha256:
            differences.append(f"the fixture of {app}")
    objects = sum(model.objects for model in report.models)
    if differences:
        return Proof(
            False, len(apps), objects, tuple(differences), f"NOT equal to the archive: {', '.join(differences)}"
        )
    return Proof(True, len(apps), objects, (), f"proven: fixtures of {len(apps)} apps, {objects} objects")
