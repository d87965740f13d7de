"""The session key: whoever has the private key gets it from a little of an archive, and nobody else ever sees it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from checkniner_backups.errors import ArchiveError, BackupsError, EncryptionError
from checkniner_backups.openpgp.keyring import Keyring, session_key
from checkniner_backups.openpgp.process import tidy
from checkniner_backups.openpgp.stream import DecryptingReader, EncryptingWriter

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.encrypting import DATA, PASSPHRASE, ciphertext, decrypt, drain, encrypt, key, opened, operator, server
from tests.plugins.spying import command_lines

pytestmark = pytest.mark.late("an agent is waited for")

__all__ = ["ciphertext", "key", "opened", "operator", "server"]


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
    with pytest.raises(EncryptionError) as caught:
        session_key(ciphertext, server.home, expected=["A" * 40])
    assert f"(the inventory encrypts to {'A' * 40})" in caught.value.hint


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


def test_messages_are_scrubbed() -> None:
    told = tidy("gpg: DBG: seskey: 9:" + "AB" * 32 + "\ngpg: session key: '9:" + "AB" * 32 + "'\ngpg: bad\n")
    assert told == "gpg said: bad"


def test_gpg_goes_no_step_further_than_the_session_key() -> None:
    """What follows may look like one more encrypted message, for which gpg would ask somebody, and wait."""
    with Operator() as patient:
        pinentry = patient.home / "pinentry"
        pinentry.write_text(
            "#!/bin/sh\necho OK\nwhile read -r line; do case $line in GETPIN) sleep 60;; esac; echo OK; done\n"
        )
        pinentry.chmod(0o700)
        with (patient.home / "gpg-agent.conf").open("a") as conf:
            conf.write(f"pinentry-program {pinentry}\n")
        own = patient.generate("Patient")
        locked = patient.gpg("--symmetric", "--pinentry-mode", "loopback", "--passphrase", "x", data=DATA[:1000])
        plain = ["--no-literal", "--compress-algo", "none", "--trust-model", "always", "--recipient", own.fingerprint]
        both = patient.gpg("--encrypt", *plain, data=locked)
        begun = time.monotonic()
        assert re.fullmatch(r"\d+:[0-9A-F]+", session_key(both, patient.home))
        assert time.monotonic() - begun < 30
