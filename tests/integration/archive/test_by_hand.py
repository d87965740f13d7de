"""An archive needs nothing of ours to be read: gpg, gzip, tar and Python's own tarfile open it, and agree."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkniner_backups.archive.manifest import Manifest, parse_manifest
from checkniner_backups.archive.reader import read
from checkniner_backups.archive.writer import MemberWriter, pack
from checkniner_backups.errors import BackupsError, DiskError, EncryptionError
from checkniner_backups.openpgp.keyring import Keyring, session_key
from checkniner_backups.openpgp.stream import DecryptingReader

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.archives import CONTENT, CREATED, archive, read_all, write_dataset
from tests.encrypting import operator, server

__all__ = ["operator", "server"]


@pytest.fixture(scope="module")
def key(operator: Operator) -> Key:
    return operator.generate()


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write_dataset(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_gnu_tar_and_gzip(tmp_path: Path, manifest: Manifest) -> None:
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz", None)
    (tmp_path / "out").mkdir()
    subprocess.run(["gzip", "--test", packed.path], check=True)
    told = subprocess.run(
        ["tar", "--warning=all", "-xvzf", packed.path, "-C", tmp_path / "out"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == ["manifest.json", *CONTENT]
    assert not told.stderr
    assert files(tmp_path / "out") == {"manifest.json": manifest.to_json(), **CONTENT}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_gpg_and_tar(tmp_path: Path, manifest: Manifest, server: Keyring, operator: Operator, key: Key) -> None:
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz.gpg", server, [key.fingerprint])
    (tmp_path / "out").mkdir()
    command = 'set -o pipefail; gpg --homedir "$0" --batch --decrypt "$1" | tar -xzf - -C "$2"'
    subprocess.run(["bash", "-c", command, operator.home, packed.path, tmp_path / "out"], check=True)
    assert files(tmp_path / "out") == {"manifest.json": manifest.to_json(), **CONTENT}


def test_the_manifest_comes_first(tmp_path: Path, manifest: Manifest) -> None:
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz", None)
    with tarfile.open(packed.path) as opened:
        assert opened.getnames() == ["manifest.json", *CONTENT]
        for info in opened.getmembers():
            assert (info.mode, info.uid, info.gid, info.mtime) == (0o600, 0, 0, CREATED.timestamp())
        file = opened.extractfile("manifest.json")
        assert file
        assert parse_manifest(file.read()) == manifest


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "v7"])
def test_what_gnu_tar_made(tmp_path: Path, form: str) -> None:
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    command = ["tar", f"--format={form}", "-czf", tmp_path / "x.tar.gz", "-C", tmp_path, *CONTENT]
    subprocess.run(command, check=True)
    assert read_all((tmp_path / "x.tar.gz").read_bytes()) == CONTENT


def test_an_encrypted_archive_of_the_old_scripts(operator: Operator, key: Key) -> None:
    """They let gpg compress once more, and used the user's trust."""
    old = operator.gpg("--trust-model", "always", "-r", key.fingerprint, "--encrypt", data=archive())
    with DecryptingReader(io.BytesIO(old), session_key=session_key(old, operator.home)) as stream:
        reader = read(stream)
        assert reader.manifest is None
        assert {member.name: b"".join(member.chunks()) for member in reader} == CONTENT


def test_the_whole_way(tmp_path: Path, manifest: Manifest, server: Keyring, operator: Operator, key: Key) -> None:
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz.gpg", server, [key.fingerprint])
    assert packed.sha256 == hashlib.sha256(packed.path.read_bytes()).hexdigest()
    opened = session_key(packed.path, operator.home)
    with packed.path.open("rb") as file, DecryptingReader(file, session_key=opened) as stream:
        assert read(stream).drain() == list(manifest.members)


def test_cut_or_flipped_anywhere(
    tmp_path: Path, manifest: Manifest, server: Keyring, operator: Operator, key: Key
) -> None:
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz.gpg", server, [key.fingerprint])
    good, opened = packed.path.read_bytes(), session_key(packed.path, operator.home)
    wrong = [good[:length] for length in range(100, len(good), len(good) // 15)]
    for position in range(110, len(good), len(good) // 15):
        wrong.append(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
    for data in wrong:
        with DecryptingReader(io.BytesIO(data), session_key=opened) as stream, pytest.raises(BackupsError):
            read(stream).drain()


def test_a_key_that_cannot_encrypt_packs_nothing(tmp_path: Path, manifest: Manifest, operator: Operator) -> None:
    key, server = operator.generate_expired(), Keyring(tmp_path / "gnupg")
    server.import_public_key(operator.export_public(key), key.fingerprint)
    with pytest.raises(EncryptionError, match="is expired"):
        pack(tmp_path, manifest, tmp_path / "x.tar.gz.gpg", server, [key.fingerprint])
    with pytest.raises(EncryptionError, match="no recipient"):
        pack(tmp_path, manifest, tmp_path / "x.tar.gz.gpg", server, [])
    assert not list(tmp_path.glob("x.tar*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk needs root: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_full_disk(tmp_path: Path, small_disk: Path, server: Keyring, key: Key, encrypted: bool) -> None:
    manifest = write_dataset(tmp_path, {"checkniner.sql": os.urandom(2_000_000)})
    with pytest.raises(DiskError, match=r"(?s)cannot write .*No space left.*HINT: free some space"):
        pack(tmp_path, manifest, small_disk / "x.tar.gz", server if encrypted else None, [key.fingerprint])
    assert not list(small_disk.iterdir())


def test_a_full_disk_while_dumping(small_disk: Path) -> None:
    writer, noise = MemberWriter(small_disk / "checkniner.sql"), os.urandom(2_000_000)
    with pytest.raises(DiskError, match="No space left"):
        writer.write(noise)
    writer.abort()
    assert not list(small_disk.iterdir())


LARGE = """
import hashlib, os, resource, sys
from datetime import datetime, timezone
from pathlib import Path
from checkniner_backups.archive.writer import MemberWriter, pack
from checkniner_backups.archive.reader import read
from checkniner_backups.openpgp.keyring import Keyring, session_key
from checkniner_backups.openpgp.stream import DecryptingReader
from checkniner_backups.archive.manifest import Manifest

folder, server, operator, fingerprint = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]

def whole_way(size):
    writer, piece = MemberWriter(folder / "large.sql"), os.urandom(100_000) + bytes(900_000)
    for _ in range(size // len(piece)):
        writer.write(piece)
    member = writer.close()
    manifest = Manifest("large", datetime.now(timezone.utc), (member,))
    packed = pack(folder, manifest, folder / "large.tar.gz.gpg", Keyring(server), [fingerprint])
    key = session_key(packed.path, operator)
    with packed.path.open("rb") as file, DecryptingReader(file, session_key=key) as stream:
        assert read(stream).drain() == [member]

whole_way(5_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
whole_way(300_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_member_in_little_memory(tmp_path: Path, server: Keyring, operator: Operator, key: Key) -> None:
    command = [sys.executable, "-c", LARGE, str(tmp_path), str(server.home), str(operator.home), key.fingerprint]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 10_000  # KiB more than for 5 MB
