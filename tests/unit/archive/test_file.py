"""An archive whose name promises more than its bytes hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkniner_backups.archive.file import ArchiveFile, inspect, is_plain
from checkniner_backups.errors import ArchiveError

from tests.archives import archive


def test_plaintext_under_the_name_of_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    """No key would be used: whoever can write to the store could have a forgery called proven."""
    path = tmp_path / "2026-11-22T19:35:00.tar.gz.gpg"
    path.write_bytes(archive())
    for verify in (False, True):
        with pytest.raises(ArchiveError, match="is not encrypted, though its name says so"):
            inspect(ArchiveFile(path), verify=verify)
    honest = path.with_suffix("")
    honest.write_bytes(path.read_bytes())
    assert inspect(ArchiveFile(honest), verify=True).members


def test_what_is_looked_at_before_a_key_is_asked_for() -> None:
    assert is_plain(b"\x1f\x8b\x08", "a.tar.gz")
    assert not is_plain(b"\x85\x02", "a.tar.gz.gpg")
    assert not is_plain(b"\x85\x02", "a.tar.gz")
    with pytest.raises(ArchiveError):
        is_plain(b"\x1f\x8b\x08", "db/a.tar.gz.gpg")
