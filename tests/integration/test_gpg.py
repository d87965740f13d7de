"""GnuPG, the real one: keys with every fault, streams that are cut or changed, and secrets that nobody else may see."""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from checkniner_backups.errors import ArchiveError, BackupsError, EncryptionError
from checkniner_backups.gpg import Keyring, check_home, session_key
from checkniner_backups.gpg_process import tidy
from checkniner_backups.gpg_stream import DecryptingReader, EncryptingWriter

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.plugins.spying import command_lines

PASSPHRASE = "correct horse battery"
DATA = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    with Operator() as operator:
        yield operator


@pytest.fixture(scope="module")
def key(operator: Operator) -> Key:
    return operator.generate(passphrase=PASSPHRASE)


@pytest.fixture(scope="module")
def server(operator: Operator, key: Key) -> Iterator[Keyring]:
    with tempfile.TemporaryDirectory(prefix="cn-") as folder:
        server = Keyring(Path(folder) / "gnupg")
        server.import_public_key(operator.export_public(key), key.fingerprint)
        yield server


@pytest.fixture(scope="module")
def ciphertext(server: Keyring, key: Key) -> bytes:
    return encrypt(DATA, server, key)


@pytest.fixture(scope="module")
def opened(ciphertext: bytes, operator: Operator) -> str:
    return session_key(ciphertext, operator.home, passphrase=PASSPHRASE)


def encrypt(data: bytes, server: Keyring, key: Key) -> bytes:
    output = io.BytesIO()
    writer = EncryptingWriter(output, [key.fingerprint], server.home)
    writer.write(data)
    writer.close()
    return output.getvalue()


def decrypt(data: bytes, opened: str) -> bytes:
    with DecryptingReader(io.BytesIO(data), session_key=opened) as reader:
        return b"".join(iter(lambda: reader.read(65536), b""))


def drain(reader: DecryptingReader) -> None:
    while reader.read(1 << 20):
        pass


def packets(data: bytes, operator: Operator) -> list[int]:
    """The offsets at which the packets of a message begin, and the end; gpg writes the last one in parts."""
    told = operator.gpg("--list-only", "--list-packets", data=data)
    return [int(match) for match in re.findall(rb"# off=(\d+) ", told)] + [len(data)]


# -- keys


def test_importing_twice_changes_once(operator: Operator, key: Key, tmp_path: Path) -> None:
    server, text = Keyring(tmp_path / "gnupg"), operator.export_public(key)
    assert server.import_public_key(text, key.fingerprint, dry_run=True)
    with pytest.raises(EncryptionError, match="not in the keyring"):
        server.usable_for_encryption(key.fingerprint)
    assert server.import_public_key(text, key.fingerprint)
    assert not server.import_public_key(text, key.fingerprint)
    assert not server.import_public_key(text, key.fingerprint, dry_run=True)
    assert server.home.stat().st_mode & 0o777 == 0o700


def test_a_usable_key(server: Keyring, key: Key) -> None:
    status = server.usable_for_encryption(key.fingerprint.lower())
    assert (status.fingerprint, status.user_ids, status.expires) == (key.fingerprint, (key.user_id,), None)
    assert status.days_left is None


def test_a_key_that_ends_soon(operator: Operator, tmp_path: Path) -> None:
    key = operator.generate("Soon", expires="10d")
    server = Keyring(tmp_path / "gnupg")
    server.import_public_key(operator.export_public(key), key.fingerprint)
    status = server.usable_for_encryption(key.fingerprint)
    assert status.expires
    assert abs(status.expires - datetime.now(timezone.utc) - timedelta(days=10)) < timedelta(minutes=5)
    assert status.days_left
    assert 9.9 < status.days_left < 10


def test_an_extended_key_is_a_change(operator: Operator, tmp_path: Path) -> None:
    key = operator.generate("Extended", expires="10d")
    server = Keyring(tmp_path / "gnupg")
    server.import_public_key(operator.export_public(key), key.fingerprint)
    operator.gpg("--quick-set-expire", key.fingerprint, "0")
    operator.gpg("--quick-set-expire", key.fingerprint, "0", "*")
    assert server.import_public_key(operator.export_public(key), key.fingerprint)
    assert server.usable_for_encryption(key.fingerprint).expires is None


def test_a_second_key_removes_nothing(operator: Operator, key: Key, tmp_path: Path) -> None:
    server, other = Keyring(tmp_path / "gnupg"), operator.generate("Other")
    for one in (key, other):
        server.import_public_key(operator.export_public(one), one.fingerprint)
    assert server.usable_for_encryption(key.fingerprint)
    assert server.usable_for_encryption(other.fingerprint)


def test_a_secret_key_does_not_belong_on_the_server(operator: Operator, key: Key, tmp_path: Path) -> None:
    server = Keyring(tmp_path / "gnupg")
    both = operator.export_public(key) + operator.export_secret(key)
    for text in (operator.export_secret(key), both):
        with pytest.raises(EncryptionError, match="does not belong on the server"):
            server.import_public_key(text, key.fingerprint)
    assert not server.home.exists()


def test_another_key_than_the_pinned_one(operator: Operator, key: Key, tmp_path: Path) -> None:
    server, other = Keyring(tmp_path / "gnupg"), operator.generate("Stranger")
    with pytest.raises(EncryptionError, match=f"{other.fingerprint}, but {key.fingerprint} is pinned"):
        server.import_public_key(operator.export_public(other), key.fingerprint)
    two = operator.export_public(key) + operator.export_public(other)
    with pytest.raises(EncryptionError, match="expected one public key, found 2"):
        server.import_public_key(two, key.fingerprint)
    for text in ("", "rubbish", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"):
        with pytest.raises(EncryptionError, match="found 0"):
            server.import_public_key(text, key.fingerprint)
    with pytest.raises(EncryptionError, match="not in the keyring"):
        server.usable_for_encryption(other.fingerprint)


def expired_subkey(operator: Operator) -> Key:
    key = operator.generate("Old Subkey", can_encrypt=False, made="20200101T000000")
    operator.gpg("--faked-system-time", "20200102T000000", "--quick-add-key", key.fingerprint, "cv25519", "encr", "1d")
    return key


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda operator: operator.generate_expired(), r"is expired on 2020-01-03.*HINT: extend or replace"),
        (lambda operator: operator.generate_revoked(), r"is revoked.*HINT: extend or replace"),
        (lambda operator: operator.generate_signing_only(), r"cannot encrypt.*HINT: add one"),
        (expired_subkey, r"the encryption sub-key of \w+ is expired"),
    ],
)
def test_keys_that_cannot_encrypt(operator: Operator, tmp_path: Path, make: object, message: str) -> None:
    key = make(operator)  # type: ignore[operator]
    server = Keyring(tmp_path / "gnupg")
    server.import_public_key(operator.export_public(key), key.fingerprint)
    with pytest.raises(EncryptionError, match=f"(?s){message}"):
        server.usable_for_encryption(key.fingerprint)
    with pytest.raises(EncryptionError):  # and should nobody have looked before: gpg refuses too
        encrypt(b"data", server, key)


def test_a_disabled_key(operator: Operator, key: Key, tmp_path: Path) -> None:
    server = Keyring(tmp_path / "gnupg")
    server.import_public_key(operator.export_public(key), key.fingerprint)
    command = [
        "gpg",
        "--homedir",
        str(server.home),
        "--no-autostart",
        "--batch",
        "--command-fd",
        "0",
        "--edit-key",
        key.fingerprint,
    ]
    subprocess.run(command, input=b"disable\nsave\n", capture_output=True, check=True)
    with pytest.raises(EncryptionError, match="is disabled"):
        server.usable_for_encryption(key.fingerprint)


def test_a_long_path(tmp_path: Path) -> None:
    if Path(f"/run/user/{os.getuid()}").is_dir():
        pytest.skip("here the sockets are in /run/user")
    check_home(Path("/" + "x" * 86))
    with pytest.raises(EncryptionError, match="too long"):
        Keyring(tmp_path / ("x" * 88))


def test_without_gpg(server: Keyring, key: Key, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for action in (
        lambda: server.usable_for_encryption(key.fingerprint),
        lambda: session_key(b"x", server.home),
        lambda: EncryptingWriter(io.BytesIO(), [key.fingerprint], server.home),
        lambda: DecryptingReader(io.BytesIO(), session_key="9:" + "0" * 64),
    ):
        with pytest.raises(EncryptionError, match=r"(?s)gpg is not installed.*apt-get install gnupg"):
            action()


# -- session keys


def test_a_little_of_the_archive_is_enough(ciphertext: bytes, operator: Operator, opened: str, tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+:[0-9A-F]+", opened)
    for length in (500, 2000, 8192, 70_000):
        assert session_key(ciphertext[:length], operator.home, passphrase=PASSPHRASE) == opened
    (tmp_path / "x.gpg").write_bytes(ciphertext)
    assert session_key(tmp_path / "x.gpg", operator.home, passphrase=PASSPHRASE) == opened


def test_a_short_archive_is_enough_too(server: Keyring, key: Key, operator: Operator) -> None:
    short = encrypt(b"", server, key)
    assert decrypt(short, session_key(short, operator.home, passphrase=PASSPHRASE)) == b""


def test_a_wrong_passphrase(ciphertext: bytes, operator: Operator, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EncryptionError, match=r"(?s)wrong passphrase.*encrypted to the key [0-9A-F]{16}") as caught:
        session_key(ciphertext, operator.home, passphrase="guess who")
    assert "guess who" not in str(caught.value) + caplog.text


def test_no_way_to_ask(ciphertext: bytes, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("GPG_TTY", raising=False)
    with pytest.raises(EncryptionError, match=r"passphrase|session key"):
        session_key(ciphertext, operator.home)


def test_no_private_key(ciphertext: bytes, server: Keyring) -> None:
    with pytest.raises(EncryptionError, match=r"(?s)no private key here.*encrypted to the key [0-9A-F]{16}"):
        session_key(ciphertext, server.home)


def test_one_of_two_recipients(server: Keyring, key: Key) -> None:
    with Operator() as second, tempfile.TemporaryDirectory(prefix="cn-") as folder:
        other = second.generate("Second")
        both, output = Keyring(Path(folder)), io.BytesIO()
        both.import_public_key(second.export_public(other), other.fingerprint)
        exported = subprocess.run(
            ["gpg", "--homedir", str(server.home), "--armor", "--export"], capture_output=True, check=True
        )
        both.import_public_key(exported.stdout.decode(), key.fingerprint)
        writer = EncryptingWriter(output, [key.fingerprint, other.fingerprint], both.home)
        writer.write(DATA)
        writer.close()
        assert decrypt(output.getvalue(), session_key(output.getvalue(), second.home)) == DATA


@pytest.mark.parametrize("data", [b"", b"plain text\n" * 500, b"\x1f\x8b" + bytes(3000)])
def test_what_is_no_encrypted_archive(data: bytes, operator: Operator, opened: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="not the beginning of an archive"):
        session_key(data, operator.home)
    with pytest.raises(BackupsError):
        decrypt(data, opened)


def test_plaintext_in_a_message_of_gpg_is_refused(operator: Operator, opened: str) -> None:
    stored = operator.gpg("--store", data=DATA)
    with pytest.raises(ArchiveError, match="not an archive encrypted"):
        decrypt(stored, opened)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="cannot read"):
        session_key(tmp_path / "none")


# -- streams


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


def test_no_secret_in_any_command_line_or_environment(
    operator: Operator, ciphertext: bytes, opened: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_SECRET_KEY", "top secret")
    secrets = [PASSPHRASE, opened.split(":")[1]]
    seen: list[str] = []

    class Looking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:  # gpg runs and waits for more
                for folder in Path("/proc").glob("[0-9]*"):
                    try:
                        if (folder / "comm").read_text() == "gpg\n" and f"PPid:\t{os.getpid()}\n" in (
                            folder / "status"
                        ).read_text():
                            seen.append((folder / "cmdline").read_text() + (folder / "environ").read_text())
                    except OSError:
                        continue
            return data

    with DecryptingReader(Looking(ciphertext), session_key=opened) as reader:
        drain(reader)
    with DecryptingReader(Looking(ciphertext), home=operator.home, passphrase=PASSPHRASE) as reader:
        drain(reader)
    assert len(seen) >= 2
    assert "override-session-key-fd" in seen[0]
    assert "top secret" not in seen[0]
    for line in seen:
        assert not any(secret in line for secret in secrets)


def test_no_session_key_in_messages(ciphertext: bytes, opened: str) -> None:
    data = bytearray(ciphertext)
    data[-5] ^= 1
    with pytest.raises(EncryptionError) as caught:
        decrypt(bytes(data), opened)
    assert opened.split(":")[1] not in str(caught.value)


def test_no_agent_is_left(ciphertext: bytes, opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="cn-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        decrypt(ciphertext, opened)
        assert not command_lines(folder)


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


def test_messages_are_scrubbed() -> None:
    told = tidy("gpg: DBG: seskey: 9:" + "AB" * 32 + "\ngpg: session key: '9:" + "AB" * 32 + "'\ngpg: bad\n")
    assert told == "gpg said: bad"
