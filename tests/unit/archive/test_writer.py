"""Writing members and archives."""

from __future__ import annotations

import gzip
import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkniner_backups.archive.manifest import Member
from checkniner_backups.archive.writer import MemberWriter, pack, point_latest
from checkniner_backups.errors import ArchiveError, DiskError

from tests.archives import CONTENT, read_all, write_dataset


def test_a_member_is_a_gzip_file_with_the_digest_of_its_content(tmp_path: Path) -> None:
    writer = MemberWriter(tmp_path / "checkniner.sql")
    assert not (tmp_path / "checkniner.sql.gz").exists()
    for _ in range(100):
        writer.write(b"SELECT 1;\n" * 1000)
    assert writer.close() == Member("checkniner.sql", 10**6, hashlib.sha256(b"SELECT 1;\n" * 100_000).hexdigest())
    file = tmp_path / "checkniner.sql.gz"
    assert gzip.decompress(file.read_bytes()) == b"SELECT 1;\n" * 100_000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_stopped_member_leaves_nothing(tmp_path: Path) -> None:
    writer = MemberWriter(tmp_path / "checkniner.sql")
    writer.write(b"x")
    writer.abort()
    assert not list(tmp_path.iterdir())


def test_a_member_replaces_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "a.json.gz.part").symlink_to("secret")
    writer = MemberWriter(tmp_path / "a.json")
    writer.write(b"[]")
    writer.close()
    assert (tmp_path / "secret").read_text() == "secret"


def test_members_in_threads_of_their_own(tmp_path: Path) -> None:
    def write(number: int) -> Member:
        writer = MemberWriter(tmp_path / f"{number}.json")
        for _ in range(50):
            writer.write(b"%d" % number * 70_000)
        return writer.close()

    with ThreadPoolExecutor(4) as pool:
        members = list(pool.map(write, range(8)))
    for number, member in enumerate(members):
        data = gzip.decompress((tmp_path / f"{number}.json.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == member.sha256


def test_a_packed_archive_is_read_back(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    packed = pack(tmp_path, manifest, tmp_path / "x.tar.gz", None)
    data = packed.path.read_bytes()
    assert read_all(data) == CONTENT
    assert (packed.size, packed.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert stat.S_IMODE(packed.path.stat().st_mode) == 0o600


def test_the_same_dataset_gives_the_same_archive(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    first = pack(tmp_path, manifest, tmp_path / "1.tar.gz", None)
    assert first.sha256 == pack(tmp_path, manifest, tmp_path / "2.tar.gz", None).sha256


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_dataset_that_is_not_whole_is_not_packed(tmp_path: Path, damage: str) -> None:
    manifest = write_dataset(tmp_path)
    file = tmp_path / "checkniner.sql.gz"
    if damage == "missing":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes({"empty": b"", "cut": data[:-10], "other": gzip.compress(b"other")}[damage])
    with pytest.raises(ArchiveError, match=r"(?s)checkniner\.sql\.gz.*HINT: make the dump again"):
        pack(tmp_path, manifest, tmp_path / "x.tar.gz", None)
    assert not list(tmp_path.glob("x.tar.gz*"))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path)
    with pytest.raises(DiskError, match=r"cannot write .*No such file"):
        pack(tmp_path, manifest, tmp_path / "none" / "x.tar.gz", None)
    with pytest.raises(DiskError, match=r"cannot write .*No such file"):
        MemberWriter(tmp_path / "none" / "a.json")


def test_latest_points_at_the_newest(tmp_path: Path) -> None:
    for name in ("2026-11-22T19:35:00.tar.gz", "2026-11-22T19:40:00.tar.gz.gpg", "2026-11-22T19:45:00.tar.gz.gpg"):
        link = point_latest(tmp_path / name)
        assert str(link.readlink()) == name
        assert link.name == "latest" + name[19:]
        assert [path.name for path in tmp_path.iterdir()] == [link.name]
