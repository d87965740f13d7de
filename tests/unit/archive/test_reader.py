"""Reading archives that were damaged, cut, or made by somebody who means harm."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zlib

import pytest
from checkniner_backups.archive.manifest import Manifest, Member
from checkniner_backups.archive.reader import Limits, read
from checkniner_backups.errors import ArchiveError

from tests.archives import CONTENT, archive, entry, manifest_for, read_all, tar

SMALL = {"checkniner.sql": b"SELECT 1;\n" * 200, "auth.json": b"[]\n"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_archive_of_the_old_scripts(form: int) -> None:
    data = archive(form=form)
    assert read(io.BytesIO(data)).manifest is None
    assert read_all(data) == CONTENT


def test_an_archive_with_its_manifest() -> None:
    manifest = manifest_for(CONTENT)
    data = archive(manifest=manifest)
    assert read(io.BytesIO(data)).manifest == manifest
    assert read_all(data) == CONTENT
    assert read(io.BytesIO(data)).drain() == list(manifest.members)


def test_members_may_be_skipped_or_left_half_read() -> None:
    reader = read(io.BytesIO(archive(manifest=manifest_for(CONTENT))))
    for member in reader:
        if member.name == "checkniner.sql":
            next(member.chunks())
    assert [member.name for member in reader.found] == list(CONTENT)


def test_a_stream_that_gives_one_byte_at_a_time() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 1))

    reader = read(Slow(archive(SMALL, manifest_for(SMALL))))
    assert [member.name for member in reader.drain()] == list(SMALL)


def test_concatenated_gzip_streams_cut_anywhere() -> None:
    plain = gzip.decompress(archive(SMALL, manifest_for(SMALL)))
    for size in (1, 511, 512, 513, 4096):
        pieces = [gzip.compress(plain[start : start + size], 1) for start in range(0, len(plain), size)]
        assert read_all(b"".join(pieces)) == SMALL
        assert read_all(b"".join([gzip.compress(b""), *pieces, gzip.compress(b"")])) == SMALL


def test_a_name_of_other_letters_needs_a_pax_header() -> None:
    content = {"überprüfung-" + "x" * 120 + ".sql": b"x"}
    assert read_all(archive(content, manifest_for(content))) == content


@pytest.mark.parametrize("with_manifest", [True, False])
def test_cut_short_anywhere(with_manifest: bool) -> None:
    data = archive(SMALL, manifest_for(SMALL) if with_manifest else None)
    for length in range(len(data)):
        with pytest.raises(ArchiveError):
            read_all(data[:length])


def test_a_tar_cut_short_in_a_whole_gzip_says_so() -> None:
    plain = gzip.decompress(archive(SMALL, manifest_for(SMALL)))
    end = len(plain.rstrip(b"\0"))
    for length in [*range(0, end + 1024 - end % 512, 101), *range(0, end + 512, 512)]:
        with pytest.raises(ArchiveError, match=r"cut short|empty"):
            read_all(gzip.compress(plain[:length]))


def test_no_flipped_byte_changes_the_content() -> None:
    good = archive(SMALL, manifest_for(SMALL))
    unseen = 0
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 0x10
        try:
            assert read_all(bytes(data)) == SMALL
            unseen += 1
        except ArchiveError:
            pass
    assert unseen <= 16  # gzip's own time and flags, unused bits, and the bits of what is only padding


def test_flips_below_gzip_are_seen_by_the_digests() -> None:
    plain = gzip.decompress(archive(SMALL, manifest_for(SMALL)))
    start = plain.index(b"SELECT 1;")
    for position in range(start, start + 2000, 37):
        data = bytearray(plain)
        data[position] ^= 1
        with pytest.raises(ArchiveError, match="digest"):
            read_all(gzip.compress(bytes(data), 1))


def test_noise_never_raises_anything_else() -> None:
    generator = random.Random(9)
    plain = gzip.decompress(archive(SMALL, manifest_for(SMALL)))
    for _ in range(500):
        data = bytearray(plain)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(min(len(data), 4000))] = generator.randrange(256)
        with pytest.raises(ArchiveError):
            read_all(gzip.compress(bytes(data), 1) + b"end")


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"not gzip at all", gzip.compress(b"", mtime=0), gzip.compress(bytes(1024), mtime=0)],
    ids=["nothing", "a line", "words", "an empty gzip", "zeros"],
)
def test_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        read(io.BytesIO(data))


@pytest.mark.parametrize(
    "tail",
    [b"x", b"\0", gzip.compress(b"x", mtime=0), gzip.compress(bytes(2**20), mtime=0)],
    ids=["a letter", "a zero", "a gzip", "many zeros"],
)
def test_something_behind_the_end(tail: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_all(archive(SMALL, manifest_for(SMALL)) + tail)


def test_something_in_the_padding() -> None:
    plain = bytearray(gzip.decompress(archive({"a.sql": b"x"})))
    for position in (513, 1023):
        plain[position] ^= 1
        with pytest.raises(ArchiveError, match="padding is not empty"):
            read_all(gzip.compress(bytes(plain)))
        plain[position] ^= 1


def test_a_lone_empty_block() -> None:
    block = entry("b.sql")[0].tobuf()
    with pytest.raises(ArchiveError, match="lone empty block"):
        read_all(gzip.compress(entry("a.sql")[0].tobuf() + bytes(512) + block + bytes(1024)))


@pytest.mark.parametrize("name", ["../x.sql", "/etc/cron.d/x", "a/b.sql", "./x.sql", "..", "x\n.sql", "x\x1b]0;", "-x"])
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ArchiveError, match="not allowed"):
        read_all(gzip.compress(tar([entry(name, b"x")])))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
        tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE, b"Z",
    ],
)  # fmt: skip
def test_members_that_are_no_regular_files(kind: bytes) -> None:
    header = tarfile.TarInfo("x.sql")
    header.type, header.linkname = kind, "/etc/passwd"
    block = header.tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(ArchiveError, match="not a regular file"):
        read_all(gzip.compress(block + bytes(1024)))


def test_two_members_of_one_name() -> None:
    with pytest.raises(ArchiveError, match="two members"):
        read_all(gzip.compress(tar([entry("a.sql", b"1"), entry("a.sql", b"2")])))


def test_a_second_manifest() -> None:
    manifest = manifest_for({"a.sql": b"1"}).to_json()
    with pytest.raises(ArchiveError, match="two members of the name 'manifest"):
        read_all(gzip.compress(tar([entry("a.sql", b"1"), entry("manifest.json", manifest)])))
    with pytest.raises(ArchiveError, match="two members"):
        read_all(gzip.compress(tar([entry("manifest.json", manifest), entry("manifest.json", manifest)])))


def test_more_members_than_anybody_has() -> None:
    with pytest.raises(ArchiveError, match="more than 10,000"):
        read_all(gzip.compress(tar([entry(f"{number}.json") for number in range(10_002)]), 1))


def test_a_manifest_that_lies_about_a_digest() -> None:
    with pytest.raises(ArchiveError, match="another digest"):
        read_all(archive(SMALL, manifest_for(SMALL, sha256="00" * 32)))


@pytest.mark.parametrize("size", [0, 1999, 2001, 2**62, 2**70])
def test_a_manifest_that_lies_about_a_size(size: int) -> None:
    with pytest.raises(ArchiveError, match=r"the manifest says|more than the limit|out of range"):
        read_all(archive(SMALL, manifest_for(SMALL, size=size)))


def test_a_manifest_that_lies_about_a_name() -> None:
    with pytest.raises(ArchiveError, match="where its manifest lists none, but"):
        read_all(archive(SMALL, manifest_for(SMALL, name="other.sql")))


def test_a_member_that_the_manifest_does_not_list() -> None:
    with pytest.raises(ArchiveError, match=r"'auth\.json'.*manifest lists none"):
        read_all(archive(SMALL, manifest_for({"checkniner.sql": SMALL["checkniner.sql"]})))


def test_a_member_that_does_not_come() -> None:
    with pytest.raises(ArchiveError, match=r"lacks 'auth\.json'"):
        read_all(archive({"checkniner.sql": SMALL["checkniner.sql"]}, manifest_for(SMALL)))


def test_a_skipped_member_is_checked_too() -> None:
    with pytest.raises(ArchiveError, match="another digest"):
        read(io.BytesIO(archive(SMALL, manifest_for(SMALL, sha256="00" * 32)))).drain()


def bomb(size: int, name: str = "checkniner.sql") -> bytes:
    """A tar.gz of a member of so many zeros, a thousand times smaller."""
    header = entry(name, b"", size=size)[0].tobuf(tarfile.GNU_FORMAT)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(
        [packer.compress(header), *(packer.compress(bytes(2**20)) for _ in range(size // 2**20)), packer.flush()]
    )


def test_a_bomb_of_the_old_form_stops_at_the_limit() -> None:
    with pytest.raises(ArchiveError, match="more than the limit of 50,000,000 bytes"):
        read_all(bomb(64 * 2**20), Limits(total=50_000_000))


def test_a_bomb_in_a_manifest() -> None:
    with pytest.raises(ArchiveError, match="more than the limit"):
        read(io.BytesIO(bomb(64 * 2**20, "manifest.json")))


def test_a_manifest_that_promises_a_bomb() -> None:
    manifest = Manifest("x", manifest_for({}).created, (Member("a", 2**40, "00" * 32), Member("b", 2**40, "00" * 32)))
    with pytest.raises(ArchiveError, match="unfolds to 2,199,023,255,552 bytes"):
        read(io.BytesIO(archive({}, manifest)), Limits(total=2**40))


def test_limits_of_a_folder(tmp_path: object) -> None:
    assert 0 < Limits.for_folder(tmp_path).total < 2**60  # type: ignore[arg-type]


def test_a_header_that_asks_for_much_memory() -> None:
    header = entry("x", b"", size=8 * 2**30, type=tarfile.XHDTYPE)[0].tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(ArchiveError, match="a header of"):
        read_all(gzip.compress(header + bytes(2**20)))


@pytest.mark.parametrize(
    "record",
    [b"", b"x", b"99 path=a\n", b"9 path=a\n7 x=1\n", b"10 path=\xff\n", b"-5 path=a\n", b"0 a=b\n", b"9 size=x\n",
     b"19 GNU.sparse.map=\n", b"5 a\n", b"9 size=-1\n", b"13 path=../x\n"],
)  # fmt: skip
def test_pax_headers_of_the_wrong_form(record: bytes) -> None:
    header = entry("x", b"", size=len(record), type=tarfile.XHDTYPE)[0].tobuf(tarfile.USTAR_FORMAT)
    body = record + bytes(-len(record) % 512)
    with pytest.raises(ArchiveError):
        read_all(gzip.compress(header + body + entry("x")[0].tobuf() + bytes(1024)))


def test_a_negative_size() -> None:
    block = bytearray(entry("x.sql")[0].tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"\xff" + struct.pack(">q", -512).rjust(11, b"\xff")
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    with pytest.raises(ArchiveError, match="wrong size"):
        read_all(gzip.compress(bytes(block) + bytes(1024)))
