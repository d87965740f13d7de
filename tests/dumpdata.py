"""Our fixtures beside what Django's `dumpdata` prints."""

from __future__ import annotations

import json
from typing import Any

from checkniner_backups.django_app.process import FixturesProcess, FixturesReport

from tests.plugins.fixtures_project import KindsProject, Members, Reference

MANY = {"permissions", "groups", "user_permissions", "friends", "tags", "others", "softs", "books"}
"""Fields whose values are lists."""


def dump(process: FixturesProcess, **options: Any) -> tuple[Members, FixturesReport]:
    """Dump, by default all apps as they are now; return the members, and what was told of them."""
    members = Members()
    values = {"snapshot": None, "lock_tables": [], "lock_timeout": 5, "apps": None, **options}
    return members, process.dump(open_member=members.open, **values)


def expected(reference: Reference, app: str) -> bytes:
    """What Django prints; models with natural primary keys, which it orders by accident, in our order."""
    if app == "contenttypes":
        return _sorted(reference.dumpdata("contenttypes.contenttype"), ["app_label", "model"])
    if app != "auth":
        return reference.dumpdata(app)
    permissions = _sorted(reference.dumpdata("auth.permission"), ["content_type", "codename"])
    parts = [permissions, reference.dumpdata("auth.group"), reference.dumpdata("auth.user")]
    return b"[" + b",".join(part[1:-3] for part in parts if part[1:-3]) + b"\n]\n"


def _sorted(text: bytes, names: list[str]) -> bytes:
    objects = sorted(json.loads(text), key=lambda found: [found["fields"][name] for name in names])
    return ("[\n" + ",\n".join(json.dumps(each, indent=4, ensure_ascii=False) for each in objects) + "\n]\n").encode()


def same(ours: bytes, djangos: bytes, kinds: KindsProject) -> None:
    """Django before 6.1 leaves the order of many-to-many lists to the database: there, compare them as sets."""
    if kinds.version == "newest":
        assert ours == djangos
    assert _in_order(ours) == _in_order(djangos)
    assert len(ours) == len(djangos)


def _in_order(text: bytes) -> str:
    objects = json.loads(text)
    for found in objects:
        for name in MANY & set(found["fields"]):
            found["fields"][name].sort(key=str)
    return json.dumps(objects, indent=0)
