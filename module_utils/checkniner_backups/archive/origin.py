"""Whose archive it is: the signature of its manifest, held against the keys that are known.

Whoever may write to the store may lay an archive there, and name it so that it is the newest. So an archive is taken
only if the server that it is asked of has signed its manifest, under the name that it has in the store. The manifest
holds the digest of every member: what is signed is the whole archive.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArchiveError, OriginError, printable
from ..openssh import signing

if TYPE_CHECKING:
    from .manifest import Manifest
    from .reader import ArchiveReader

OTHER = "to take it all the same: -e other_server=true (on the command line --other-server)"
UNSIGNED = "to take it all the same, if you know where it is from: -e unsigned=true (on the command line --unsigned)"


@dataclass(frozen=True)
class Trust:
    """Which archives are taken.

    :param identity: under which name the server's key is known, NAME@HOST
    :param known: text of known origins, in OpenSSH's format of allowed signers
    :param other_server: take another server's too, and one whose key is not known
    :param unsigned: take one without a signature too: of an earlier release, or made by hand
    """

    identity: str
    known: str
    other_server: bool = False
    unsigned: bool = False


@dataclass(frozen=True)
class Origin:
    """Who made an archive. Everything is empty for one that is not signed.

    :param fingerprint: of the key that signed it
    :param host: what that machine calls itself, as the archive says; a word of whoever signed it
    :param identities: the names under which the key was known when it signed
    """

    fingerprint: str = ""
    host: str = ""
    identities: tuple[str, ...] = ()
    taken: bool = True
    """Whether a restore takes the archive without being told to."""

    @property
    def asks(self) -> tuple[str, ...]:
        """What a restore has to be told to take the archive: options of ansible-playbook."""
        if self.taken:
            return ()
        return ("-e other_server=true",) if self.fingerprint else ("-e unsigned=true",)

    def __str__(self) -> str:
        if not self.fingerprint:
            return "an unknown machine: it is not signed"
        known = f"known as {', '.join(self.identities)}" if self.identities else "a key that is not known here"
        return f"{self.host or 'a machine without a name'} ({known}, {self.fingerprint})"


def origin_here(state_folder: Path) -> dict[str, str]:
    """Given the state folder, return what a manifest says of the server that makes it; empty where there is no key.

    :raises OriginError: there is a key that cannot be read
    """
    key = signing.public_key(state_folder)
    return {"fingerprint": key.fingerprint, "host": platform.node()} if key else {}


def own_trust(state_folder: Path, name: str, *, other_server: bool = False, unsigned: bool = False) -> Trust:
    """Given the state folder and the application's name, return trust in what this server itself has signed."""
    from ..openssh.known_origins import identity, line

    key = signing.public_key(state_folder)
    here = identity(name, "localhost")
    return Trust(here, line(here, key) if key else "", other_server, unsigned)


def check_origin(reader: ArchiveReader, key: str, trust: Trust) -> Origin:
    """Given an archive whose beginning was read and its key in the store, return who made it if that may be taken.

    :param key: empty for a file of this machine, whose name is its user's business
    :raises OriginError: it is not signed, or by somebody else, or under another name; the message says which
    """
    manifest = reader.manifest
    if manifest is None or not reader.signature:
        if trust.unsigned:
            return Origin(taken=False)
        raise OriginError(
            f"{key or 'the archive'} is not signed: anybody who may write to the store can have made it",
            "archives of releases before 1.2 are not signed, those of the old scripts neither; " + UNSIGNED,
        )
    # Here and now the signature is one of this manifest, whoever made it; whose key that is, is asked afterwards.
    found = found_origin(reader.manifest_bytes, reader.signature, manifest, trust.known)
    if key and not (key == manifest.name or key.endswith(f"/{manifest.name}")):
        raise OriginError(
            f"{key} was made under the name {manifest.name!r}: somebody has copied an older archive to a newer name",
            "take another archive, and look who else may write to the bucket; the copy can be restored as a file"
            " (archive_file)",
        )
    created = manifest.created
    if signing.is_signed_by(reader.manifest_bytes, reader.signature, trust.identity, trust.known, created):
        return found
    if trust.other_server:
        return replace(found, taken=False)
    raise OriginError(_foreign(key, found, trust, created), _what_to_do(found, trust))


def found_origin(data: bytes, signature: bytes, manifest: Manifest, known: str) -> Origin:
    """Given a manifest, its bytes, their signature and a text of known origins, return who signed it.

    :raises OriginError: the signature is not one of these bytes
    """
    fingerprint = signing.signer(data, signature)
    identities = signing.identities(signature, known, manifest.created) if known else ()
    return Origin(fingerprint, printable(str(manifest.origin.get("host", "")))[:80], identities)


def _foreign(key: str, found: Origin, trust: Trust, created: datetime) -> str:
    return f"{key or 'the archive'} of {created:%Y-%m-%d %H:%M} UTC was not made by {trust.identity}, but by {found}"


def _what_to_do(found: Origin, trust: Trust) -> str:
    if found.identities:
        return f"check the bucket and the prefix, and which server you mean (--limit); {OTHER}"
    if not trust.known:
        return (
            "no key of this server is known here: setup-backups.yml learns it and writes it beside the inventory"
            f" (known_origins); {OTHER}"
        )
    return f"its key may have been lost with the server, or somebody else writes to the bucket; {OTHER}"


def check_same(data: bytes, sha256: str) -> None:
    """Given the bytes of a manifest, and the digest (hex) of the one whose signature was checked, compare them.

    :raises ArchiveError: it is another one
    """
    import hashlib

    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArchiveError(
            "the archive is not the one whose signature was checked: its manifest is another one",
            "run the restore again; if this repeats, look who else may write to the bucket",
        )
