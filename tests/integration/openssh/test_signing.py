"""Signatures by ssh-keygen itself: what it takes and what it refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from checkniner_backups.errors import OriginError
from checkniner_backups.openssh import signing
from checkniner_backups.openssh.known_origins import learn, line, read

NOW = datetime.now(timezone.utc).replace(microsecond=0)
DATA = b'{"format": 2}\n'
NAME = "checkniner@web1"


def made(folder: Path) -> Path:
    """Given a new folder, make a key in it."""
    folder.mkdir()
    assert signing.make_key(folder, "test")
    return folder


def public(folder: Path) -> signing.PublicKey:
    found = signing.public_key(folder)
    assert found
    return found


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return made(tmp_path / "server")


def test_a_key_is_made_once_and_is_the_owners_alone(server: Path) -> None:
    before = public(server)
    assert not signing.make_key(server, "test")
    assert public(server) == before
    assert (server / signing.KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in server.iterdir()) == ["signing_key", "signing_key.pub"]
    printed = subprocess.run(
        ["ssh-keygen", "-lf", server / "signing_key.pub"], capture_output=True, text=True, check=True
    )
    assert before.fingerprint in printed.stdout


def test_a_lost_public_half_is_made_again(server: Path) -> None:
    before = public(server)
    (server / "signing_key.pub").unlink()
    assert signing.make_key(server, "test")
    assert public(server) == before


def test_who_signed(server: Path, tmp_path: Path) -> None:
    signature, known = signing.sign(DATA, server), line(NAME, public(server))
    assert signing.signer(DATA, signature) == public(server).fingerprint
    assert signing.is_signed_by(DATA, signature, NAME, known, NOW)
    assert signing.identities(signature, known, NOW) == (NAME,)
    other = line(NAME, public(made(tmp_path / "other")))
    assert not signing.is_signed_by(DATA, signature, NAME, other, NOW)
    assert not signing.is_signed_by(DATA, signature, "checkniner@web2", known, NOW)
    assert not signing.is_signed_by(DATA, signature, NAME, "", NOW)
    assert signing.identities(signature, other, NOW) == ()


@pytest.mark.parametrize("at", range(0, len(DATA), 3))
def test_a_changed_byte(server: Path, at: int) -> None:
    signature, wrong = signing.sign(DATA, server), bytearray(DATA)
    wrong[at] ^= 1
    with pytest.raises(OriginError, match="not one of its manifest"):
        signing.signer(bytes(wrong), signature)
    assert not signing.is_signed_by(bytes(wrong), signature, NAME, line(NAME, public(server)), NOW)


@pytest.mark.parametrize("signature", [b"", b"-----BEGIN SSH SIGNATURE-----\n", b"\0" * 1000, b"x" * 100_000])
def test_what_is_no_signature(server: Path, signature: bytes) -> None:
    with pytest.raises(OriginError, match="damaged or forged"):
        signing.signer(DATA, signature)


def test_a_signature_for_something_else(server: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", server / "signing_key", "-n", "file"]
    signature = subprocess.run(command, input=DATA, capture_output=True, check=True).stdout
    with pytest.raises(OriginError):
        signing.signer(DATA, signature)
    assert not signing.is_signed_by(DATA, signature, NAME, line(NAME, public(server)), NOW)


def test_a_key_that_was_replaced_is_good_for_what_it_had_signed(server: Path, tmp_path: Path) -> None:
    path = tmp_path / "known_origins"
    learn(path, NAME, public(server))
    new = made(tmp_path / "new")
    learn(path, NAME, public(new), new_origin=True)
    known, old, now = read(path), signing.sign(DATA, server), signing.sign(DATA, new)
    assert signing.is_signed_by(DATA, old, NAME, known, NOW - timedelta(hours=1))
    assert not signing.is_signed_by(DATA, old, NAME, known, NOW + timedelta(hours=1))
    assert signing.is_signed_by(DATA, now, NAME, known, NOW + timedelta(hours=1))


def test_times_are_utc_wherever_it_runs(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSH reads a time without a zone as a local one; releases before 9.1 know no zone."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    ended = f'"checkniner-backups",valid-before="{signing.utc(NOW)}"'
    known = line(NAME, public(server)).replace('"checkniner-backups"', ended)
    signature = signing.sign(DATA, server)
    assert signing.is_signed_by(DATA, signature, NAME, known, NOW - timedelta(minutes=1))
    assert not signing.is_signed_by(DATA, signature, NAME, known, NOW + timedelta(minutes=1))


def test_a_key_that_others_can_read_is_refused(server: Path) -> None:
    (server / "signing_key").chmod(0o644)
    with pytest.raises(OriginError, match="ssh-keygen failed"):
        signing.sign(DATA, server)


def test_without_ssh_keygen(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OriginError, match="not installed") as caught:
        signing.sign(DATA, server)
    assert caught.value.hint == "apt-get install openssh-client"


@pytest.mark.parametrize("text", ["exit 0", "echo a signature", '"{real}" "$@" | head -c 100'])
def test_what_is_no_signature_is_not_put_into_an_archive(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "ssh-keygen"
    path.write_text("#!/bin/sh\n" + text.format(real=shutil.which("ssh-keygen")) + "\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(OriginError, match="no signature by this server's key"):
        signing.sign(DATA, server)


def test_halves_that_do_not_belong_together(server: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "other")
    (other / "signing_key.pub").replace(server / "signing_key.pub")
    with pytest.raises(OriginError):
        signing.sign(DATA, server)
