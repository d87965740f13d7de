"""Keys in GnuPG's own keyring: the one that is pinned gets there, and each fault of a key is told before it is used."""

from __future__ import annotations

import io
import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from checkniner_backups.errors import EncryptionError
from checkniner_backups.openpgp.keyring import Keyring, check_home, session_key
from checkniner_backups.openpgp.stream import DecryptingReader, EncryptingWriter

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.encrypting import encrypt, key, operator, server

__all__ = ["key", "operator", "server"]


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
