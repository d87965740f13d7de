"""The archive's file format, the reading side: a stream from outside, which nothing is believed about.

The tar is read here and not by `tarfile`, which would follow links, make up names, and take as much memory as a
hostile header asks for. Each member is held against the manifest while it passes.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArchiveError
from ..openpgp.stream import Readable
from .inflater import ANOTHER, CHUNK, Inflater
from .manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest, Member, check_name, parse_manifest

_BLOCK = tarfile.BLOCKSIZE
_PAX_LIMIT = 64 * 1024
_MEMBERS_LIMIT = 10_000
_SIGNATURE_LIMIT = 16 * 1024


@dataclass(frozen=True)
class Limits:
    """How many bytes an archive may unfold to: its manifest, and all members together."""

    manifest: int = 16 * 1024 * 1024
    total: int = 1024**4

    @classmethod
    def for_folder(cls, folder: Path) -> Limits:
        """Given a folder where the members will go, return the limits that its disk sets."""
        return cls(total=shutil.disk_usage(folder).free)


class ArchiveMember:
    """One member of an archive that is being read: `name`, `size` in bytes, and its bytes, once."""

    def __init__(self, reader: ArchiveReader, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self._reader = reader
        self._left = size
        self._hash = hashlib.sha256()
        self._done = False

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most 256 KiB. They are proven only when the iterator has ended.

        :raises ArchiveError: damaged, cut short, or another size or digest than the manifest's
        """
        while self._left:
            data = self._reader.take(min(self._left, CHUNK))
            self._left -= len(data)
            self._hash.update(data)
            yield data
        if not self._done:
            self._done = True
            self._reader.finished(Member(self.name, self.size, self._hash.hexdigest()))

    def read_all(self, limit: int) -> bytes:
        """Return all bytes of a member that may have at most `limit`.

        :raises ArchiveError: as `chunks`, or larger than the limit
        """
        if self.size > limit:
            raise ArchiveError(
                f"the member {self.name!r} has {self.size:,} bytes, more than the limit of {limit:,}", ANOTHER
            )
        return b"".join(self.chunks())


class ArchiveReader:
    """Iterates over the members of an archive. `manifest` is None for an archive of the old scripts.

    `manifest_bytes` is what was signed, and `signature` its signature; empty where there is none. Every member is
    checked, also one that is skipped; only when the iteration has ended is the archive proven whole. `found` then has
    what came: name, size and digest.
    """

    def __init__(self, stream: Readable, limits: Limits) -> None:
        self._inflater = Inflater(stream)
        self._limits = limits
        self._left = limits.total
        self._padding = 0
        self._ended = False
        self.manifest: Manifest | None = None
        self.manifest_bytes = self.signature = b""
        self.found: list[Member] = []
        self._names: set[str] = set()
        first = self._next()
        if first and first.name == MANIFEST_NAME:
            self.manifest_bytes = first.read_all(limits.manifest)
            self.manifest = parse_manifest(self.manifest_bytes)
            self._check_total()
            first = self._next()
            if first and first.name == SIGNATURE_NAME:
                self.signature = first.read_all(_SIGNATURE_LIMIT)
                first = self._next()
        elif first is None:
            raise ArchiveError("the archive is empty", ANOTHER)
        self._first = first

    def __iter__(self) -> Iterator[ArchiveMember]:
        """Yield the members in their order.

        :raises ArchiveError: damaged, cut short, hostile, or not what the manifest says
        """
        while member := self._first or self._next():
            self._first = None
            self._check_expected(member)
            yield member
            for _ in member.chunks():
                pass
        self._inflater.expect_end()
        if self.manifest and len(self.found) < len(self.manifest.members):
            missing = self.manifest.members[len(self.found)].name
            raise ArchiveError(f"the archive lacks {missing!r}, which its manifest lists", ANOTHER)

    def drain(self) -> list[Member]:
        """Read all that is left, and return every member with its size and digest: the archive is then proven whole.

        :raises ArchiveError: damaged, cut short, hostile, or not what the manifest says
        """
        for _ in self:
            pass
        return self.found

    def take(self, size: int) -> bytes:
        """Return 1 to `size` bytes of the running member."""
        return self._inflater.some(size)

    def finished(self, member: Member) -> None:
        """Take note of a member that was read to its end, and hold it against the manifest."""
        self._padding = -member.size % _BLOCK
        if (member.name == MANIFEST_NAME and not self.manifest) or member.name == SIGNATURE_NAME:
            return
        if self.manifest and self.manifest.members[len(self.found)].sha256 != member.sha256:
            raise ArchiveError(f"the member {member.name!r} has another digest than the manifest says", ANOTHER)
        self.found.append(member)

    def _next(self) -> ArchiveMember | None:
        if self._ended:
            return None
        self._inflater.skip_zeros(self._padding)
        self._padding = 0
        name = size = None
        while True:
            block = self._inflater.exactly(_BLOCK)
            if not any(block):
                if name is not None or any(self._inflater.exactly(_BLOCK)):
                    raise ArchiveError("the archive's tar is damaged: a lone empty block", ANOTHER)
                self._ended = True
                return None
            info = _header(block)
            if info.type == tarfile.XHDTYPE and name is None:
                name, size = self._pax(info)
                continue
            return self._member(info, name or info.name, info.size if size is None else size)

    def _pax(self, info: tarfile.TarInfo) -> tuple[str, int | None]:
        """Return name ("" for none) and size of a pax header: all that a member may have there."""
        if not 0 < info.size <= _PAX_LIMIT:
            raise ArchiveError(f"the archive's tar has a header of {info.size} bytes", ANOTHER)
        data = self._inflater.exactly(info.size)
        self._inflater.skip_zeros(-info.size % _BLOCK)
        name, size = "", None
        try:
            while data:
                length = int(data[: data.index(b" ")])
                record, data = data[:length], data[length:]
                key, value = record[record.index(b" ") + 1 : -1].split(b"=", 1)
                if record[-1:] != b"\n" or len(record) != length:
                    raise ValueError
                if key == b"path":
                    name = value.decode()
                elif key == b"size":
                    size = int(value)
                elif key.startswith(b"GNU.sparse"):
                    raise ValueError
        except (ValueError, IndexError):
            raise ArchiveError("the archive's tar is damaged: a wrong pax header", ANOTHER) from None
        return name, size

    def _member(self, info: tarfile.TarInfo, name: str, size: int) -> ArchiveMember:
        if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            raise ArchiveError(f"the archive's member {name[:80]!r} is not a regular file", ANOTHER)
        if size < 0:
            raise ArchiveError(f"the archive's member {name[:80]!r} has a wrong size", ANOTHER)
        first = not self._names
        self._names.add(MANIFEST_NAME)  # a manifest may only come first
        if first and name == MANIFEST_NAME:
            return ArchiveMember(self, name, size)
        if name == SIGNATURE_NAME and (self.manifest is None or len(self._names) > 1):
            raise ArchiveError("the archive has a signature that does not follow its manifest", ANOTHER)
        check_name(name, self._names)
        if len(self._names) > _MEMBERS_LIMIT and not self.manifest:
            raise ArchiveError(f"the archive has more than {_MEMBERS_LIMIT:,} members", ANOTHER)
        if size > self._left:
            raise ArchiveError(
                f"the archive unfolds to more than the limit of {self._limits.total:,} bytes at {name!r}",
                "free some space, or set a higher limit if you trust the archive",
            )
        self._left -= size
        return ArchiveMember(self, name, size)

    def _check_expected(self, member: ArchiveMember) -> None:
        if not self.manifest:
            return
        listed = self.manifest.members[len(self.found)] if len(self.found) < len(self.manifest.members) else None
        if not listed or listed.name != member.name:
            instead = f", but {listed.name!r}" if listed else ""
            raise ArchiveError(f"the archive has {member.name!r}, where its manifest lists none{instead}", ANOTHER)
        if listed.size != member.size:
            raise ArchiveError(
                f"the member {member.name!r} has {member.size:,} bytes, the manifest says {listed.size:,}", ANOTHER
            )

    def _check_total(self) -> None:
        total = sum(member.size for member in self.manifest.members) if self.manifest else 0
        if total > self._limits.total:
            raise ArchiveError(
                f"the archive unfolds to {total:,} bytes, more than the limit of {self._limits.total:,}",
                "free some space, or set a higher limit if you trust the archive",
            )


def read(stream: Readable, limits: Limits | None = None) -> ArchiveReader:
    """Given an archive's bytes (decrypted), return a reader that has read its manifest already.

    The stream's end is reached when the iteration ends, so that a `DecryptingReader` has its say too.

    :raises ArchiveError: not an archive, damaged, or of a newer format
    """
    return ArchiveReader(stream, limits or Limits())


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.TarError, ValueError):
        raise ArchiveError("the archive's tar is damaged: a wrong header", ANOTHER) from None
