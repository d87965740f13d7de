"""Whose archive it is: what is taken, what is refused, and what a person has to say to take it all the same."""

from __future__ import annotations

import gzip
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from checkniner_backups.archive.file import ArchiveFile, inspect
from checkniner_backups.archive.manifest import Manifest
from checkniner_backups.archive.origin import Trust, check_origin, origin_here, own_trust
from checkniner_backups.archive.reader import read
from checkniner_backups.archive.writer import pack
from checkniner_backups.errors import ArchiveError, OriginError
from checkniner_backups.openssh import signing
from checkniner_backups.openssh.known_origins import line

from tests.archives import CONTENT, archive, entry, tar, write_dataset

KEY = "db/2026-11-22T19:35:00.tar.gz"
NAME = KEY.removeprefix("db/")


class Server:
    """A server with a signing key, or without one, and a data set."""

    def __init__(self, folder: Path, *, key: bool = True) -> None:
        self.folder = folder
        folder.mkdir()
        if key:
            signing.make_key(folder, "test")
        self.manifest = replace(write_dataset(folder), name=NAME, origin=origin_here(folder))

    def line(self, identity: str) -> str:
        key = signing.public_key(self.folder)
        assert key
        return line(identity, key)

    def pack(self, manifest: Manifest | None = None, signature: bytes | None = None) -> ArchiveFile:
        manifest = manifest or self.manifest
        if signature is None:
            signature = signing.sign(manifest.to_json(), self.folder)
        return ArchiveFile(pack(self.folder, manifest, self.folder / NAME, None, signature=signature).path)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "web1")


@pytest.fixture
def other(tmp_path: Path) -> Server:
    return Server(tmp_path / "web2")


@pytest.fixture
def trust(server: Server) -> Trust:
    return Trust("checkniner@web1", server.line("checkniner@web1"))


def test_the_servers_own_archive(server: Server, trust: Trust) -> None:
    inspection = inspect(server.pack(), verify=True, trust=trust, key=KEY)
    assert inspection.origin
    assert inspection.origin.identities == ("checkniner@web1",)
    assert inspection.origin.asks == ()
    assert [member.name for member in inspection.members] == list(CONTENT), "the signature is no member of the data"


def test_an_archive_that_is_not_signed(server: Server, trust: Trust) -> None:
    unsigned = server.pack(signature=b"")
    with pytest.raises(OriginError, match="is not signed") as caught:
        inspect(unsigned, trust=trust, key=KEY)
    assert "-e unsigned=true" in caught.value.hint
    taken = inspect(unsigned, trust=replace(trust, unsigned=True), key=KEY).origin
    assert taken
    assert taken.asks == ("-e unsigned=true",)
    with pytest.raises(OriginError):
        inspect(unsigned, trust=replace(trust, other_server=True), key=KEY)


def test_an_archive_of_the_old_scripts(trust: Trust) -> None:
    with pytest.raises(OriginError, match="is not signed"):
        check_origin(read(io.BytesIO(archive(CONTENT))), KEY, trust)
    check_origin(read(io.BytesIO(archive(CONTENT))), KEY, replace(trust, unsigned=True))


@pytest.mark.parametrize("known", [True, False])
def test_another_servers_archive(server: Server, other: Server, trust: Trust, known: bool) -> None:
    if known:
        trust = replace(trust, known=trust.known + other.line("checkniner@web2"))
    with pytest.raises(OriginError, match="was not made by checkniner@web1, but by") as caught:
        inspect(other.pack(), trust=trust, key=KEY)
    assert ("checkniner@web2" in caught.value.message) is known
    assert "2026-11-22 19:35 UTC" in caught.value.message
    assert "-e other_server=true" in caught.value.hint
    taken = inspect(other.pack(), trust=replace(trust, other_server=True), key=KEY).origin
    assert taken
    assert taken.asks == ("-e other_server=true",)
    with pytest.raises(OriginError):
        inspect(other.pack(), trust=replace(trust, unsigned=True), key=KEY)


def test_a_manifest_under_another_ones_signature(server: Server, other: Server, trust: Trust) -> None:
    """No word takes that: nobody made it."""
    signature = signing.sign(server.manifest.to_json(), server.folder)
    forged = server.pack(replace(server.manifest, database={"name": "else"}), signature)
    with pytest.raises(OriginError, match="damaged or forged"):
        inspect(forged, trust=replace(trust, other_server=True, unsigned=True), key=KEY)


@pytest.mark.parametrize("key", ["db/2026-11-23T00:00:00.tar.gz", f"{KEY}.gpg", f"db/x{NAME}"])
def test_an_older_archive_under_a_newer_name(server: Server, trust: Trust, key: str) -> None:
    with pytest.raises(OriginError, match="copied an older archive to a newer name"):
        inspect(server.pack(), trust=replace(trust, other_server=True), key=key)


@pytest.mark.parametrize("key", [KEY, NAME, f"elsewhere/{NAME}", ""])
def test_the_prefix_may_change_and_a_file_may_have_any_name(server: Server, trust: Trust, key: str) -> None:
    inspect(server.pack(), trust=trust, key=key)


def test_a_safety_backup_is_no_ordinary_archive(server: Server, trust: Trust) -> None:
    safety = server.pack(replace(server.manifest, name=f"before-restore/{NAME}"))
    inspect(safety, trust=trust, key=f"db/before-restore/{NAME}")
    with pytest.raises(OriginError, match="copied"):
        inspect(safety, trust=trust, key=KEY)


def test_the_server_opens_the_very_archive_that_was_checked(server: Server) -> None:
    packed = server.pack()
    inspect(replace(packed, manifest_sha256=digest(server.manifest)))
    with pytest.raises(ArchiveError, match="not the one whose signature was checked"):
        inspect(replace(packed, manifest_sha256=digest(replace(server.manifest, engine="other"))))


def test_the_command_line_trusts_the_servers_own_key(server: Server, other: Server, tmp_path: Path) -> None:
    inspect(server.pack(), trust=own_trust(server.folder, "checkniner"))
    with pytest.raises(OriginError, match="was not made by"):
        inspect(other.pack(), trust=own_trust(server.folder, "checkniner"))
    with pytest.raises(OriginError) as caught:
        inspect(other.pack(), trust=own_trust(tmp_path, "checkniner"))
    assert "no key of this server is known" in caught.value.hint


def test_a_signature_stands_only_after_the_manifest(server: Server) -> None:
    manifest = server.manifest.to_json()
    members = [entry(name, data) for name, data in CONTENT.items()]
    signature = entry("manifest.json.sig", b"x")
    for wrong in (
        [entry("manifest.json", manifest), members[0], signature, *members[1:]],
        [entry("manifest.json", manifest), signature, signature, *members],
        [signature, *members],
        [signature, entry("manifest.json", manifest), *members],
    ):
        with pytest.raises(ArchiveError):
            read(io.BytesIO(gzipped(tar(wrong)))).drain()
    read(io.BytesIO(gzipped(tar([entry("manifest.json", manifest), signature, *members])))).drain()


def digest(manifest: Manifest) -> str:
    return hashlib.sha256(manifest.to_json()).hexdigest()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data)
