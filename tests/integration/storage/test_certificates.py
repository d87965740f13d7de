"""What is wrong with a store's certificate is said: expired, for another name, of an authority that nobody knows."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from checkniner_backups.errors import StoreError
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.s3 import Store
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)


def certificate(folder: Path, address: str, days: tuple[int, int]) -> tuple[Path, Path]:
    """Given a folder, an address, and from which day to which day from now it is valid, write a certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "certificate.pem", folder / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return certificate_path, key_path


@contextmanager
def listening(pair: tuple[Path, Path]) -> Iterator[str]:
    """Yield the URL of something that speaks TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with suppress(OSError), context.wrap_socket(client, server_side=True) as connection:
                        connection.recv(1)

        threading.Thread(target=answer, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "days", "reason", "hint"),
    [
        ("127.0.0.1", (-9, -1), "expired", "renew it"),
        ("127.0.0.1", (1, 9), "not yet valid", "timedatectl"),
        ("127.0.0.2", (-9, 9), "match", "another name"),
        ("127.0.0.1", (-9, 9), "self.signed", "checkniner_backups_s3_ca_bundle"),
    ],
)
def test_the_reason_is_named(tmp_path: Path, address: str, days: tuple[int, int], reason: str, hint: str) -> None:
    pair = certificate(tmp_path, address, days)
    with listening(pair) as url:
        store = Store(
            StoreSettings(
                bucket="b",
                access_key="a",
                secret_key="s",
                endpoint_url=url,
                ca_bundle=str(pair[0]) if reason != "self.signed" else "",
            )
        )
        with pytest.raises(StoreError, match=rf"the TLS connection failed: .*{reason}") as caught:
            store.check()
    assert hint in caught.value.hint
