"""Streams through GnuPG: whole or an error, when they are cut or changed, when an end of them fails, when gpg dies."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from checkniner_backups.errors import ArchiveError, BackupsError, EncryptionError
from checkniner_backups.openpgp.keyring import Keyring, session_key
from checkniner_backups.openpgp.stream import DecryptingReader, EncryptingWriter

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.encrypting import DATA, PASSPHRASE, ciphertext, decrypt, drain, encrypt, key, opened, operator, server
from tests.plugins.spying import command_lines

pytestmark = pytest.mark.late("gpg is stopped and killed in the middle of a stream")

__all__ = ["ciphertext", "key", "opened", "operator", "server"]


def packets(data: bytes, operator: Operator) -> list[int]:
    """The offsets at which the packets of a message begin, and the end; gpg writes the last one in parts."""
    told = operator.gpg("--list-only", "--list-packets", data=data)
    return [int(match) for match in re.findall(rb"# off=(\d+) ", told)] + [len(data)]


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_there_and_back(server: Keyring, key: Key, operator: Operator, size: int) -> None:
    data = os.urandom(size)
    encrypted = encrypt(data, server, key)
    assert decrypt(encrypted, session_key(encrypted, operator.home, passphrase=PASSPHRASE)) == data


def test_with_the_private_key_itself(ciphertext: bytes, operator: Operator) -> None:
    with DecryptingReader(io.BytesIO(ciphertext), home=operator.home, passphrase=PASSPHRASE) as reader:
        assert b"".join(iter(lambda: reader.read(1 << 20), b"")) == DATA
        assert reader.read(10) == b""


def test_without_the_private_key(ciphertext: bytes, server: Keyring) -> None:
    with (
        DecryptingReader(io.BytesIO(ciphertext), home=server.home) as reader,
        pytest.raises(EncryptionError, match=r"(?s)no private key here.*[0-9A-F]{16}"),
    ):
        reader.read(10)


def test_a_wrong_session_key(ciphertext: bytes) -> None:
    with pytest.raises(EncryptionError, match="cannot be decrypted whole"):
        decrypt(ciphertext, "9:" + "5" * 64)


def test_cut_short(ciphertext: bytes, opened: str, operator: Operator) -> None:
    size, ends = len(ciphertext), packets(ciphertext, operator)
    for length in {
        1,
        *(end + more for end in ends for more in (-1, 1)),
        2000,
        size // 2,
        size - 22,
        size - 20,
        size - 1,
    }:
        if length < size:
            with pytest.raises(BackupsError):
                decrypt(ciphertext[:length], opened)


def test_flipped(server: Keyring, key: Key, operator: Operator) -> None:
    good = encrypt(os.urandom(5000), server, key)
    opened = session_key(good, operator.home, passphrase=PASSPHRASE)
    header = packets(good, operator)[1]  # the session key's packet, which an open session key does not need
    for position in [
        *range(header, header + 12),
        *range(header + 12, len(good), 331),
        *range(len(good) - 24, len(good)),
    ]:
        data = bytearray(good)
        data[position] ^= 0x40
        with pytest.raises(BackupsError):
            decrypt(bytes(data), opened)


@pytest.mark.parametrize("tail", [b"x", b"garbage" * 100])
def test_something_behind_the_end(ciphertext: bytes, opened: str, tail: bytes) -> None:
    with pytest.raises(BackupsError):
        decrypt(ciphertext + tail, opened)


def test_leaving_early_leaves_nothing(ciphertext: bytes, opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="cn-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        for amount in (0, 10, 10**9):
            with DecryptingReader(io.BytesIO(ciphertext), session_key=opened) as reader:
                if amount:
                    reader.read(amount)
                assert len(list(Path(folder).iterdir())) == 1
                assert next(Path(folder).iterdir()).stat().st_mode & 0o777 == 0o700
            assert not list(Path(folder).iterdir())
            assert not command_lines(folder)


class BrokenSource(io.BytesIO):
    """Gives what it has, in small pieces, and then fails."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(min(size or 0, 1000))
        if not data:
            raise ArchiveError("the connection broke")
        return data


class FullTarget:
    """Takes nothing."""

    def write(self, data: bytes) -> None:
        raise OSError(28, f"No space left on device for {len(data)} bytes")


def test_a_source_that_fails_is_what_is_raised(ciphertext: bytes, opened: str) -> None:
    reader = DecryptingReader(BrokenSource(ciphertext[:5000]), session_key=opened)
    with pytest.raises(ArchiveError, match="the connection broke"):
        drain(reader)


def test_a_target_that_fails_is_what_is_raised(server: Keyring, key: Key) -> None:
    writer = EncryptingWriter(FullTarget(), [key.fingerprint], server.home)
    with pytest.raises(OSError, match="No space left"):
        writer.write(DATA * 100)
    writer.abort()
    writer = EncryptingWriter(FullTarget(), [key.fingerprint], server.home)
    writer.write(b"little, so that only the end shows it")
    with pytest.raises(OSError, match="No space left"):
        writer.close()


def test_leaving_early_does_not_wait(ciphertext: bytes, opened: str) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(size) or bytes(size or 0)

    started = time.monotonic()
    with DecryptingReader(Endless(ciphertext), session_key=opened) as reader:
        assert reader.read(100) == DATA[:100]
    assert time.monotonic() - started < 4


def test_a_gpg_that_dies_is_no_success(server: Keyring, key: Key) -> None:
    for times in (0, 3):
        writer = EncryptingWriter(io.BytesIO(), [key.fingerprint], server.home)
        for _ in range(times):
            writer.write(DATA)
        writer._gpg.process.kill()
        with pytest.raises(EncryptionError, match="did not finish"):
            writer.close()


def test_a_gpg_that_lies_in_its_exit_status_is_no_success(
    server: Keyring, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: str
) -> None:
    (tmp_path / "gpg").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EncryptionError, match="did not finish"):
        encrypt(DATA, server, key)
    with pytest.raises(BackupsError):
        decrypt(DATA, opened)


def test_stopping_ends_gpg(server: Keyring, key: Key) -> None:
    writer = EncryptingWriter(io.BytesIO(), [key.fingerprint], server.home)
    writer.write(DATA)
    writer.abort()
    assert not [line for line in command_lines(str(server.home)) if "--encrypt" in line]


def test_nobody_to_encrypt_to(server: Keyring, key: Key) -> None:
    with pytest.raises(EncryptionError, match="no recipient"):
        EncryptingWriter(io.BytesIO(), [], server.home)
    writer = EncryptingWriter(io.BytesIO(), [key.fingerprint, "0" * 40], server.home)
    with pytest.raises(EncryptionError, match=f"cannot encrypt to {'0' * 40}"):
        writer.close()


def test_many_bytes_in_little_memory(server: Keyring, key: Key, operator: Operator, opened: str) -> None:
    """300 MB through both, the consumer slower than gpg at first: nothing piles up."""
    size, piece = 300_000_000, os.urandom(1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryFile() as file:
        writer = EncryptingWriter(file, [key.fingerprint], server.home)
        for _ in range(size // len(piece)):
            writer.write(piece)
        writer.close()
        file.seek(0)
        opened = session_key(file.read(4096), operator.home, passphrase=PASSPHRASE)
        file.seek(0)
        digest, count = hashlib.sha256(), 0
        with DecryptingReader(file, session_key=opened) as reader:
            while data := reader.read(1 << 20):
                digest.update(data)
                count += len(data)
                if count < 3 << 20:
                    time.sleep(0.01)
    expected = hashlib.sha256()
    for _ in range(size // len(piece)):
        expected.update(piece)
    assert (count, digest.digest()) == (size, expected.digest())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
    assert threading.active_count() < 5


def test_a_gpg_that_writes_half_and_calls_that_a_success(
    server: Keyring, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("gpg")
    (tmp_path / "gpg").write_text(f'#!/bin/sh\n"{real}" "$@" | head -c 900\n')
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EncryptionError, match="wrote 900, and called that a success"):
        encrypt(os.urandom(20_000), server, key)


@pytest.mark.parametrize(
    "text", ["exit 1", "exit 0", "echo nonsense", "kill -9 $$", "echo gpg \\(GnuPG\\) 2.2.40; echo pub:"]
)
def test_a_gpg_that_does_not_work(server: Keyring, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  text: str) -> None:  # fmt: skip
    (tmp_path / "gpg").write_text(f"#!/bin/sh\n{text}\n")
    (tmp_path / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EncryptionError):
        server.usable_for_encryption(key.fingerprint)
