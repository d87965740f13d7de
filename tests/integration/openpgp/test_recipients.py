"""Whom a message was encrypted to is read from its first bytes, as gpg itself reads it."""

from __future__ import annotations

import os
import re

import pytest
from checkniner_backups.openpgp.recipients import recipients
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.keys import Keys


def encrypted(keys: Keys, *arguments: str) -> bytes:
    always = ("--trust-model", "always", "--encrypt", "--output", "-")
    return keys.keyring.gpg(*always, *arguments, data=os.urandom(100_000))


@pytest.mark.parametrize("old_format", [(), ("--rfc4880",)])
def test_one_and_several(keys: Keys, old_format: tuple[str, ...]) -> None:
    both = ("--recipient", keys.plain.fingerprint, "--recipient", keys.locked.fingerprint)
    for names in (both[:2], both):
        message = encrypted(keys, *old_format, *names)
        told = keys.keyring.gpg("--list-packets", "--list-only", data=message).decode()
        listed = {each.upper() for each in re.findall(r"pubkey enc packet: .*? keyid ([0-9A-F]{16})", told)}
        assert len(listed) == len(names) // 2
        assert recipients(message[:8192]) == listed


def test_a_hidden_one(keys: Keys) -> None:
    assert recipients(encrypted(keys, "--hidden-recipient", keys.plain.fingerprint)) == {"0" * 16}


def test_what_is_no_message_to_anybody(keys: Keys) -> None:
    # A packet for a passphrase, as `gpg --symmetric` writes first.
    passphrase = bytes.fromhex("8c0d04090308") + bytes(9)
    for data in (b"", b"\x85", b"\x1f\x8b\x08rest", os.urandom(1), bytes(100), b"hello, world" * 100, passphrase):
        assert recipients(data) == frozenset()


def test_what_follows_the_data_names_nobody(keys: Keys) -> None:
    message = encrypted(keys, "--recipient", keys.plain.fingerprint)
    assert recipients(b"\xcb\x01x" + message) == frozenset()


def test_the_packets_of_rfc_9580() -> None:
    """gpg makes none of them yet: a version 6 packet names a version and a fingerprint."""
    fingerprint = bytes(range(32))
    body = b"\x06\x21\x06" + fingerprint + b"\x19" + bytes(40)
    assert recipients(bytes([0xC1, len(body)]) + body) == {fingerprint.hex().upper()}
    anonymous = b"\x06\x00\x19" + bytes(40)
    assert recipients(bytes([0xC1, len(anonymous)]) + anonymous) == frozenset()


@given(st.binary(max_size=600))
def test_nonsense_is_read_without_a_fault(data: bytes) -> None:
    recipients(data)
    recipients(b"\xc1" + data)
    recipients(b"\x85" + data)
