"""The manifest: first member of an archive, and what the rest is held against.

It says which members follow, with size and digest, and what the database held. An archive comes from outside: the
parser believes nothing about the text that it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from .. import FORMAT_VERSION, __version__
from ..errors import ArchiveError
from ..system.timestamps import ISO, iso, parse_iso
from .schema import DAMAGED, check_manifest, check_version, refuse

MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
"""The second member, where the archive is signed: the signature of the first one."""
_FIXTURE = ".json"


@dataclass(frozen=True)
class Member:
    """One file of an archive: its flat name, its size in bytes, and the SHA-256 (hex) of its bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What an archive holds. `created` is the time of its data (UTC) by the clock of the machine that made it, where
    `name` is ahead of that after a clock was fast; `members` stand in the archive's order, without the manifest itself.

    Archives of earlier releases say nothing of large objects and of extensions' configuration tables.

    :param name: the archive's key in the store, without the prefix
    :param origin: `fingerprint` of the key that signs it, and `host`, what its machine calls itself
    """

    application: str
    created: datetime
    members: tuple[Member, ...]
    database: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[Mapping[str, Any]] = ()
    sequences: Sequence[Mapping[str, Any]] = ()
    fixtures: Mapping[str, Any] = field(default_factory=dict)
    large_objects: Mapping[str, Any] = field(default_factory=dict)
    extension_tables: Sequence[Mapping[str, Any]] | None = None
    rehearsal: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    engine: str = __version__
    format: int = FORMAT_VERSION

    def member(self, name: str) -> Member | None:
        """Given a name, return this member, or None."""
        return next((member for member in self.members if member.name == name), None)

    def to_json(self) -> bytes:
        """Return the manifest as UTF-8 JSON, one line per table and member: people read it too.

        :raises ArchiveError: a member's name cannot stand in an archive
        """
        check_names([member.name for member in self.members])
        value = {
            "format": self.format,
            "application": self.application,
            "created": iso(self.created.astimezone(timezone.utc)),
            **({"name": self.name} if self.name else {}),
            **({"origin": self.origin} if self.origin else {}),
            "engine": self.engine,
            "members": [asdict(member) for member in self.members],
            "database": self.database,
            "tables": list(self.tables),
            "sequences": list(self.sequences),
            "fixtures": self.fixtures,
        }
        if self.large_objects:
            value["large_objects"] = self.large_objects
        if self.extension_tables is not None:
            value["extension_tables"] = list(self.extension_tables)
        if self.rehearsal:
            value["rehearsal"] = self.rehearsal
        return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def fixture_name(app: str) -> str:
    """Given an app's label, return the name of its fixture's member."""
    name = app + _FIXTURE
    # Any other ending that `loaddata` takes would do.
    return f"{app}.fixture{_FIXTURE}" if name == MANIFEST_NAME else name


def app_of(name: str) -> str:
    """Given the name of a member (not the manifest's), return the label of the app whose fixture it is, or nothing."""
    return name.removesuffix(_FIXTURE).removesuffix(".fixture") if name.endswith(_FIXTURE) else ""


def parse_manifest(data: bytes) -> Manifest:
    """Given the bytes of `manifest.json`, return the manifest. Every field that `schema` lists then has its type.

    :raises ArchiveError: not a manifest, or one of a newer format; the message says the path of the field
    """
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ArchiveError("the archive's manifest is not JSON", DAMAGED) from None
    check_version(value, "manifest")
    version = value["format"]
    if version > FORMAT_VERSION:
        raise ArchiveError(
            f"the archive has format {version}, this engine ({__version__}) knows formats up to {FORMAT_VERSION}",
            f"update checkniner-backups to the version that made it ({str(value.get('engine', 'unknown'))[:40]})",
        )
    check_manifest(value, "manifest")
    try:
        created = parse_iso(value["created"])
    except ValueError:
        raise refuse("manifest.created", f"is not a time of the form {ISO}") from None
    members = tuple(Member(each["name"], each["size"], each["sha256"]) for each in value["members"])
    check_names([member.name for member in members])
    return Manifest(
        application=value["application"],
        created=created,
        members=members,
        database=value["database"],
        tables=tuple(value["tables"]),
        sequences=tuple(value["sequences"]),
        fixtures=value["fixtures"],
        large_objects=value.get("large_objects", {}),
        extension_tables=tuple(value["extension_tables"]) if "extension_tables" in value else None,
        rehearsal=value.get("rehearsal", {}),
        name=value.get("name", ""),
        origin=value.get("origin", {}),
        engine=value["engine"],
        format=version,
    )


def check_names(names: Sequence[str]) -> None:
    """Given the names of an archive's members (without the manifest), return when all are allowed and different.

    :raises ArchiveError: as `check_name`
    """
    seen = {MANIFEST_NAME, SIGNATURE_NAME}
    for name in names:
        check_name(name, seen)


def check_name(name: str, seen: set[str]) -> None:
    """Given a member's name and those before it, add it to them when it is flat, harmless and new.

    :raises ArchiveError: a path, a control character, a hidden or overlong name, or a duplicate
    """
    # 245 bytes: `<name>.gz.part` must be a file name too
    harmless = name.isprintable() and "/" not in name and "\\" not in name and not name.startswith((".", "-"))
    if not harmless or not 0 < len(name.encode()) <= 245:
        raise ArchiveError(f"the archive has a member of the name {name[:80]!r}, which is not allowed", DAMAGED)
    if name in seen:
        raise ArchiveError(f"the archive has two members of the name {name!r}", DAMAGED)
    seen.add(name)


def _refuse_constant(text: str) -> None:
    raise ValueError(text)
