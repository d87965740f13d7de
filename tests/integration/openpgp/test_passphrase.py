"""A passphrase that was wrong, or could not be asked for, is never told as a missing key or a damaged archive."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from checkniner_backups.errors import EncryptionError
from checkniner_backups.openpgp.keyring import session_key
from checkniner_backups.openpgp.passphrase import not_unlocked
from checkniner_backups.openpgp.stream import DecryptingReader

from sandbox.keys import Keyring as Operator
from tests.encrypting import ciphertext, drain, key, operator, server

__all__ = ["ciphertext", "key", "operator", "server"]

ENGINE = Path(__file__).resolve().parents[3] / "module_utils"
NOBODY_TO_ASK = (
    "#!/bin/sh\necho OK\nwhile read -r line; do case $line in\n"
    "  GETPIN*) echo 'ERR {code} no';; BYE*) exit;; *) echo OK;;\nesac; done\n"
)


def answer(operator: Operator, code: int) -> None:
    """Give the operator a pinentry that answers with this error."""
    pinentry = operator.home / "pinentry"
    pinentry.write_text(NOBODY_TO_ASK.format(code=code))
    pinentry.chmod(0o700)
    (operator.home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\n")
    subprocess.run(["gpgconf", "--homedir", operator.home, "--kill", "gpg-agent"], check=True)


def by_keyring(ciphertext: bytes, operator: Operator) -> None:
    with DecryptingReader(io.BytesIO(ciphertext), home=operator.home) as reader:
        drain(reader)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (83918950, "it has no terminal"),  # pinentry: Inappropriate ioctl for device
        (83886179, "the passphrase was not given"),  # pinentry: Operation cancelled
    ],
)
def test_the_session_key_and_the_stream_say_why_nobody_was_asked(
    ciphertext: bytes, operator: Operator, code: int, words: str
) -> None:
    answer(operator, code)
    for attempt in (lambda: session_key(ciphertext, operator.home), lambda: by_keyring(ciphertext, operator)):
        with pytest.raises(EncryptionError, match=words) as caught:
            attempt()
        assert "damaged" not in str(caught.value)
        if "terminal" in words:
            assert caught.value.hint.endswith("export GPG_TTY=$(tty)")


def test_the_words_of_gnupg_2_4_are_understood() -> None:
    """It reports NO_SECKEY for a key that is there."""
    wrong = [["ENC_TO", "C0C0E3ED98384EAA", "18", "0"], ["NO_SECKEY", "C0C0E3ED98384EAA"],
             ["ERROR", "pkdecrypt_failed", "67108875"]]  # fmt: skip
    error = not_unlocked(wrong, "it is encrypted to a key")
    assert error
    assert "wrong passphrase" in error.message
    absent = [*wrong[:2], ["ERROR", "pkdecrypt_failed", "33554449"]]
    assert not_unlocked(absent, "") is None


def test_the_terminal_of_whoever_started_this_is_found() -> None:
    """A module of Ansible has a session of its own and pipes for input and output; who started the playbook has not."""
    inner = "from checkniner_backups.openpgp.passphrase import terminal; print(terminal())"
    outer = (
        "import subprocess, sys; print('found', subprocess.run([sys.executable, '-c', sys.argv[1]], text=True,"
        " capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True).stdout)"
    )
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    with subprocess.Popen(
        [sys.executable, "-c", outer, inner], cwd=ENGINE, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        process.wait()
    told = os.read(master, 4096).decode()
    os.close(slave)
    os.close(master)
    assert f"found {name}" in told
