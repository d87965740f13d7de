"""Whom an OpenPGP message was encrypted to: its first packets tell, and no private key is needed to read them.

A message begins with one packet for each recipient (RFC 9580, 5.1), which names the encryption key: a subkey, not the
primary key whose fingerprint people know.
"""

from __future__ import annotations

_SESSION_KEY = 1
"""The tag of a packet that holds the session key for one recipient."""


def recipients(head: bytes) -> frozenset[str]:
    """Given the first bytes of a message, return the ids of the keys that open it, in hex as gpg shows them.

    Version 3 packets name a key id of 16 digits (all zeros where it was hidden), version 6 packets a fingerprint. Empty
    where the bytes are not the beginning of a message that is encrypted to a public key.
    """
    found = set()
    while packet := _packet(head):
        tag, body, head = packet
        if tag != _SESSION_KEY:
            break
        if len(body) >= 9 and body[0] == 3:
            found.add(body[1:9].hex().upper())
        elif len(body) >= 3 and body[0] == 6 and 2 < body[1] + 2 <= len(body):
            found.add(body[3 : body[1] + 2].hex().upper())
    return frozenset(found)


def _packet(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Given bytes at the beginning of a packet, return its tag, its body and what follows. None where there is none
    that is whole: packets of recipients have a length, and what else there is does not matter here."""
    if len(data) < 2 or not data[0] & 0x80:
        return None
    if data[0] & 0x40:
        tag, first = data[0] & 0x3F, data[1]
        if first < 192:
            start, length = 2, first
        elif first < 224 and len(data) > 2:
            start, length = 3, ((first - 192) << 8) + data[2] + 192
        elif first == 255:
            start, length = 6, int.from_bytes(data[2:6], "big")
        else:
            return None
    else:
        tag, size = data[0] >> 2 & 0x0F, data[0] & 0x03
        if size == 3:
            return None
        start = 1 + (1 << size)
        length = int.from_bytes(data[1:start], "big")
    end = start + length
    return (tag, data[start:end], data[end:]) if end <= len(data) else None
