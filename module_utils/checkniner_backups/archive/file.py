"""An archive on this machine: how it is opened, what it says of itself, whose it is. Nothing is believed about it."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArchiveError, RestoreError

if TYPE_CHECKING:
    from ..openpgp.stream import Readable
    from ..settings import Settings
    from .manifest import Manifest, Member
    from .origin import Origin, Trust
    from .reader import ArchiveMember, ArchiveReader

Progress = Callable[[int], None]
"""Is told how many bytes more were read."""

_GZIP = b"\x1f\x8b"
_ENCRYPTED = ".gpg"


@dataclass(frozen=True)
class ArchiveFile:
    """An archive on this machine, and what opens it: its session key, or else the keyring of whoever runs this."""

    path: Path
    session_key: str = field(default="", repr=False)
    gnupg_home: Path | None = None
    manifest_sha256: str = ""
    """Of the manifest whose signature was checked elsewhere; empty: any manifest will do."""
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Inspection:
    """What an archive says of itself; of one without a manifest, only members that were read are known."""

    manifest: Manifest | None
    members: tuple[Member, ...]
    origin: Origin | None = None

    @property
    def database(self) -> dict[str, Any]:
        """The manifest's metadata on the database; empty where there is no manifest."""
        return dict(self.manifest.database) if self.manifest else {}


@contextmanager
def opened(archive: ArchiveFile) -> Iterator[ArchiveReader]:
    """Given an archive, yield a reader of its members. Nothing is proven before the reader has come to the end.

    :raises ArchiveError: it cannot be read, or is damaged
    :raises EncryptionError: the key does not fit
    """
    from ..openpgp.stream import DecryptingReader
    from .reader import Limits, read

    try:
        file = archive.path.open("rb")
    except OSError as error:
        raise ArchiveError(f"cannot open {archive.path}: {error.strerror}", "name an archive that is there") from None
    # What cannot fit on this machine's disk is no dump of its database: so much for bombs.
    limits = Limits(total=shutil.disk_usage(archive.path.parent).total)
    with file:
        plain = is_plain(file.read(2), archive.path.name)
        file.seek(0)
        if plain:
            yield _the_same(read(file, limits), archive)
            return
        with DecryptingReader(
            file, session_key=archive.session_key or None, home=archive.gnupg_home, passphrase=archive.passphrase
        ) as stream:
            yield _the_same(read(stream, limits), archive)


def _the_same(reader: ArchiveReader, archive: ArchiveFile) -> ArchiveReader:
    if archive.manifest_sha256:
        from .origin import check_same

        check_same(reader.manifest_bytes, archive.manifest_sha256)
    return reader


def is_plain(head: bytes, name: str) -> bool:
    """Given an archive's first bytes and its name, return whether it is not encrypted.

    :raises ArchiveError: it is not, and its name says that it is: whoever can write to the store may have put it there
    """
    plain = head[:2] == _GZIP
    if plain and name.endswith(_ENCRYPTED):
        raise ArchiveError(
            f"{name} is not encrypted, though its name says so",
            "anybody can have made it: take another archive; or name it without .gpg if you know where it is from",
        )
    return plain


def inspect(archive: ArchiveFile, *, verify: bool = False, trust: Trust | None = None, key: str = "") -> Inspection:
    """Given an archive, return what its beginning says.

    :param verify: read all of it, so that every member is compared with the manifest
    :param trust: whose archives are taken; None: that was asked before, or does not matter
    :param key: the archive's key in the store, where it comes from there
    :raises ArchiveError: it is damaged, as far as it was read
    :raises OriginError: it is not one of those that are taken
    """
    with opened(archive) as reader:
        origin = None
        if trust:
            from .origin import check_origin

            origin = check_origin(reader, key, trust)
        found = tuple(reader.drain()) if verify else ()
        return Inspection(reader.manifest, reader.manifest.members if reader.manifest else found, origin)


@dataclass(frozen=True)
class Beginning:
    """What the beginning of an archive has told: who made it, and the SHA-256 (hex) of its manifest, empty for none."""

    origin: Origin
    manifest_sha256: str
    created: str = ""


def check_beginning(head: bytes, session_key: str, application: str, trust: Trust, key: str = "") -> Beginning:
    """Given the first bytes of an archive, its session key and an application's name, see whose archive it is.

    Whoever may write to the store may lay there what was never an archive (a mail to the operator), or an archive of
    another application or server. Its session key must not leave the operator's machine.

    :param head: with the whole manifest in it; 1 MiB hold that of tens of thousands of tables
    :param session_key: empty for an archive that is not encrypted
    :param trust: whose archives are taken
    :param key: the archive's key in the store; empty for a file
    :raises ArchiveError: it is no archive
    :raises RestoreError: it is another application's
    :raises OriginError: it is not one of those that are taken
    :raises EncryptionError: the key does not fit
    """
    from ..openpgp.keyring import FILLER
    from ..openpgp.stream import DecryptingReader
    from .origin import check_origin
    from .reader import read

    with ExitStack() as stack:
        stream: Readable = io.BytesIO(head)
        if session_key:
            decrypting = DecryptingReader(io.BytesIO(head + FILLER), session_key=session_key)
            stream = stack.enter_context(decrypting)
        reader = read(stream)
        manifest = reader.manifest
        check_name(application, Inspection(manifest, ()))
        if manifest is None:
            first = next(iter(reader), None)
            if not (first and first.name.endswith((".sql", ".json"))):
                raise ArchiveError("this is no archive of a database", "look who else writes below this prefix")
        origin = check_origin(reader, key, trust)
        digest = hashlib.sha256(reader.manifest_bytes).hexdigest() if manifest else ""
        return Beginning(origin, digest, manifest.created.isoformat() if manifest else "")


def check_application(settings: Settings, inspection: Inspection) -> None:
    """Given an archive's own words, refuse one of another application.

    :raises RestoreError: it is not this application's
    """
    check_name(settings.name, inspection)


def check_name(name: str, inspection: Inspection) -> None:
    """Given an application's name and an archive's own words, refuse one of another application.

    :raises RestoreError: it is not this application's
    """
    manifest = inspection.manifest
    if manifest and manifest.application != name:
        raise RestoreError(
            f"the archive is of the application {manifest.application!r}, this is {name!r}",
            "check the bucket and prefix; to restore it all the same, set checkniner_backups_name to its name",
        )


def with_progress(member: ArchiveMember, progress: Progress | None) -> Iterator[bytes]:
    """Given a member of an archive, yield its bytes, and tell how many they are."""
    for chunk in member.chunks():
        if progress:
            progress(len(chunk))
        yield chunk
