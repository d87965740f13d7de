"""GPG keyrings and keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sandbox.keys import Key, Keyring


@dataclass(frozen=True)
class Keys:
    """The operator's keyring, and two usable key pairs in it. Make keys with faults with `keyring.generate_...`."""

    keyring: Keyring
    plain: Key
    locked: Key  # with a passphrase, which the agent never keeps


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    """The operator's keys of this test run: make more, but do not revoke or remove these two."""
    with Keyring() as keyring:
        plain = keyring.generate("Checkniner Plain")
        locked = keyring.generate("Checkniner Locked", passphrase="correct horse")
        yield Keys(keyring, plain, locked)


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    """A fresh, empty keyring: a server's, or one to spoil."""
    with Keyring() as keyring:
        yield keyring
