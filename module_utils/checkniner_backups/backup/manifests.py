"""The manifest of an archive that is about to be packed: completed, signed, and kept in the folder of the dump."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArchiveError, BackupsError
from ..settings import Settings
from ..system.files import write_durably

if TYPE_CHECKING:
    from ..archive.manifest import Manifest

log = logging.getLogger(__name__)

_MANIFEST, _SIGNATURE = "manifest.json", "manifest.json.sig"


def signed(settings: Settings, manifest: Manifest, name: str) -> tuple[Manifest, bytes, str]:
    """Given a manifest and the archive's key without the prefix, return the manifest with its origin, and sign it.

    What cannot be signed is saved all the same: an archive that needs a word more to be restored is better than none.

    :returns: the manifest, its signature, and why there is none, if so
    """
    from ..archive.origin import origin_here
    from ..openssh.signing import sign

    manifest = replace(manifest, name=name)
    try:
        manifest = replace(manifest, origin=origin_here(settings.state_path))
        if manifest.origin:
            return manifest, sign(manifest.to_json(), settings.state_path), ""
        unsigned = "this server has no signing key yet: run setup-backups.yml"
    except BackupsError as error:
        unsigned = f"{error.message} ({error.hint})"
    log.warning("the archive is not signed, and a restore will ask for -e unsigned=true: %s", unsigned)
    return manifest, b"", unsigned


def write_manifest(folder: Path, manifest: Manifest, signature: bytes) -> None:
    """Given the folder of a dump, keep the manifest and its signature there.

    :raises DiskError: the disk is full or cannot be written
    """
    write_durably(folder / _MANIFEST, manifest.to_json())
    write_durably(folder / _SIGNATURE, signature)


def read_manifest(folder: Path) -> Manifest:
    """Given a folder that `check` has filled, return the manifest of its dataset.

    :raises ArchiveError: it is not there
    """
    from ..archive.manifest import parse_manifest

    return parse_manifest(_read(folder / _MANIFEST))


def read_signature(folder: Path) -> bytes:
    """Given a folder that `check` has filled, return the signature of the manifest; empty where there is none.

    :raises ArchiveError: it is not there
    """
    return _read(folder / _SIGNATURE)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArchiveError(f"cannot read {path}: {error.strerror}", "make the dataset first") from None
