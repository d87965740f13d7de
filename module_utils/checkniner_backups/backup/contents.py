"""What the history tells of an archive: its manifest's tables, and which of them are the business apps'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..history.entries import Content, Saved, table_of
from .copy_rows import unquoted

if TYPE_CHECKING:
    from ..archive.manifest import Manifest
    from ..state.last_backup import Candidate


def saved_archive(manifest: Manifest, candidate: Candidate) -> Saved:
    """Given the manifest of an archive that is in the store, and what is remembered of it, return what the history
    tells of it."""
    tables = {f"{each['schema']}.{each['name']}": table_of(each["rows"], each["sha256"]) for each in manifest.tables}
    business = tuple(sorted(".".join(unquoted(name)) for name in candidate.rows))
    return Saved(manifest.name, manifest.created, Content(tables, business, candidate.models))
