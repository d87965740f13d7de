"""Archives for tests: good ones made by the engine, and wrong ones made by hand."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from checkniner_backups.archive.manifest import Manifest, Member
from checkniner_backups.archive.reader import Limits, read
from checkniner_backups.archive.writer import MemberWriter

CREATED = datetime(2026, 11, 22, 19, 35, tzinfo=timezone.utc)
CONTENT = {
    "checkniner.sql": b"CREATE TABLE airstrips (id integer);\n" * 5000,
    "auth.json": b'[{"model": "auth.user", "pk": 42}]\n',
    "checkouts.json": b"",
}

TABLE = {
    "schema": "public",
    "name": "airstrips",
    "rows": 1,
    "sha256": "0" * 64,
    "owner": "checkniner",
    "privileges": [],
}


def write_dataset(folder: Path, content: dict[str, bytes] | None = None) -> Manifest:
    """Given a folder, write these members (default: `CONTENT`) into it and return their manifest."""
    members = []
    for name, data in (content or CONTENT).items():
        writer = MemberWriter(folder / name)
        for start in range(0, len(data), 65536):
            writer.write(data[start : start + 65536])
        members.append(writer.close())
    return Manifest("checkniner", CREATED, tuple(members), {"name": "checkniner"}, (TABLE,))


def manifest_for(content: dict[str, bytes], **changes: object) -> Manifest:
    """Given members, return a true manifest; `changes` are made to its first member."""
    members = [Member(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in content.items()]
    if changes:
        members[0] = replace(members[0], **changes)
    return Manifest("checkniner", CREATED, tuple(members))


def entry(name: str, data: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """Given a name and bytes, return a tar entry; `attributes` are set on its header."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def tar(entries: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Given tar entries, return a tar file with them, whatever they say."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return output.getvalue()


def archive(
    content: dict[str, bytes] | None = None, manifest: Manifest | bytes | None = None, form: int = tarfile.PAX_FORMAT
) -> bytes:
    """Given members and a manifest (None: an archive of the old scripts), return a `.tar.gz`."""
    entries = [entry(name, data) for name, data in (CONTENT if content is None else content).items()]
    if manifest is not None:
        entries.insert(0, entry("manifest.json", manifest.to_json() if isinstance(manifest, Manifest) else manifest))
    return gzip.compress(tar(entries, form))


def read_all(data: bytes, limits: Limits | None = None) -> dict[str, bytes]:
    """Given an archive's bytes, return all its members."""
    return {member.name: b"".join(member.chunks()) for member in read(io.BytesIO(data), limits)}
