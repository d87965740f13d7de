"""The operator's agent opens whatever was encrypted to its key: only an archive's session key is handed out."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace

import pytest
from checkniner_backups.archive.file import check_beginning
from checkniner_backups.archive.origin import Trust
from checkniner_backups.errors import ArchiveError, BackupsError, RestoreError
from checkniner_backups.openpgp.keyring import Keyring, session_key

from sandbox.keys import Key
from sandbox.keys import Keyring as Operator
from tests.archives import CONTENT, archive, entry, manifest_for, tar
from tests.encrypting import PASSPHRASE, encrypt, key, operator, server

__all__ = ["key", "operator", "server"]

HEAD = 1 << 20
ANY = Trust("checkniner@web1", "", other_server=True, unsigned=True)
LARGE = {"checkniner.sql": random.Random(1).randbytes(3 * HEAD)}


def with_manifest(content: dict[str, bytes], name: str = "checkniner") -> bytes:
    manifest = replace(manifest_for(content), application=name)
    return archive({"manifest.json": manifest.to_json(), **content})


GOOD = {
    "ours": with_manifest(CONTENT),
    "larger than what is fetched": with_manifest(LARGE),
    "with ten thousand members": with_manifest({f"app_{number}.json": b"[]" for number in range(9_000)}),
    "of the old scripts": archive({"checkniner.sql": b"SELECT 1;\n" * 100_000, "auth.json": b"[]"}),
    "of the old scripts, fixtures first": archive({"auth.json": b"[]"}),
}
BAD = {
    "another application's": (with_manifest(CONTENT, "billing"), RestoreError, "of the application 'billing'"),
    "a mail": (b"Dear operator,\n\nthe combination of the safe is 1234.\n" * 50, ArchiveError, "damaged"),
    "a compressed mail": (gzip.compress(b"the combination is 1234\n" * 100), ArchiveError, "damaged"),
    "an archive of letters": (archive({"letter.txt": b"the combination is 1234"}), ArchiveError, "no archive of"),
    "a folder": (gzip.compress(tar([entry("folder", type=b"5")])), ArchiveError, "not a regular file"),
    "nothing": (b"", BackupsError, "cut short|cannot be decrypted"),
}


def look(plain: bytes, operator: Operator, server: Keyring, key: Key) -> None:
    head = encrypt(plain, server, key)[:HEAD]
    check_beginning(head, session_key(head, operator.home, passphrase=PASSPHRASE), "checkniner", ANY)


@pytest.mark.parametrize("name", GOOD)
def test_an_archive_of_the_application_is_opened(name: str, operator: Operator, server: Keyring, key: Key) -> None:
    look(GOOD[name], operator, server, key)


@pytest.mark.parametrize("name", BAD)
def test_nothing_else_is(name: str, operator: Operator, server: Keyring, key: Key) -> None:
    plain, error, words = BAD[name]
    with pytest.raises(error, match=words) as caught:
        look(plain, operator, server, key)
    assert "1234" not in str(caught.value)


def test_a_mail_to_the_operator_as_it_was_sent(operator: Operator, server: Keyring, key: Key) -> None:
    """By gpg itself, compressed and with a file's name."""
    mail = operator.gpg("--encrypt", "--trust-model", "always", "--recipient", key.fingerprint, data=b"1234" * 1000)
    with pytest.raises(ArchiveError):
        check_beginning(mail, session_key(mail, operator.home, passphrase=PASSPHRASE), "checkniner", ANY)
