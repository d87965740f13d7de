"""An operator with a private key, a server without, and what the engine encrypts there and opens again."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkniner_backups.openpgp.keyring import Keyring, session_key
from checkniner_backups.openpgp.stream import DecryptingReader, EncryptingWriter

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator

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
