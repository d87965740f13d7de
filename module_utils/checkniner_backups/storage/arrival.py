"""Whether a store holds what was sent: judged by what the store computed, not by what it repeats.

Metadata is our own word, and the ETag in the answer to a PUT is of whatever arrived. A byte that is changed on the way
(a proxy that ends TLS, a router's memory) leaves both as they should be. So the ETag is compared with the MD5 that
Amazon and most stores compute of what they got; where a store's ETag is something else, the object is read back.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from enum import Enum
from typing import Any

from ..errors import StoreError
from .client import StoredObject
from .faults import code_of
from .upload import Answer, Outgoing

log = logging.getLogger(__name__)

REFUSED = ("403", "AccessDenied", "Forbidden")
_OF_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")

UNVERIFIED = (
    "the store's ETag is no MD5 of the content, as with a key of KMS, and these credentials may not read; give them the"
    " right to (s3:GetObject below the prefix), or look at the archive where that is possible"
)
"""Why an archive in the store may not be what was sent, and what to do."""
_DAMAGED = (
    "nothing is remembered as saved, the next run tries again; look for what changes data on the way (a proxy, a bad"
    " memory); an S3-compatible store of some age may need checkniner_backups_s3_checksums: when_required; where the"
    " store's ETags are no MD5, give these credentials the right to read"
)


class Arrival(Enum):
    """What is known of an object that was sent."""

    SAME = "what was sent"
    DIFFERENT = "not what was sent"
    UNKNOWN = "it cannot be known"


def compare(
    found: StoredObject, outgoing: Outgoing, answer: Answer, read_back: Callable[[], Any] | None = None
) -> Arrival:
    """Given what is stored, what was sent, and the store's answer to the put, return whether they are the same.

    :param answer: empty where none arrived
    :param read_back: returns the body of the object; None for credentials that may not read
    :raises botocore.exceptions.BotoCoreError: the connection broke while the object was read back
    """
    if found.size != outgoing.size or (found.sha256 and found.sha256 != outgoing.sha256):
        return Arrival.DIFFERENT
    if found.etag in outgoing.etags():
        return Arrival.SAME
    if read_back and (stored := _digest(read_back)):
        return Arrival.SAME if stored == (outgoing.size, outgoing.sha256) else Arrival.DIFFERENT
    # With a key of KMS, an ETag may look like an MD5 and be none.
    if _OF_MD5.fullmatch(found.etag) and not (found.kms or answer.kms):
        return Arrival.DIFFERENT
    if not found.sha256 and found.etag != answer.etag:
        return Arrival.DIFFERENT  # another object
    return Arrival.UNKNOWN


def confirmed(
    what: str, found: StoredObject | None, outgoing: Outgoing, answer: Answer, read_back: Callable[[], Any] | None
) -> StoredObject:
    """Given what is stored after a put that the store answered, return it, with `verified` as far as that is known.

    :param what: key and store, for messages
    :raises StoreError: it is not there, or is not what was sent
    """
    if found is None:
        raise StoreError(f"{what} is not there, though the upload was confirmed", _DAMAGED)
    if found.size != outgoing.size:
        raise StoreError(f"{what} has {found.size} bytes, {outgoing.size} were sent", _DAMAGED)
    arrival = compare(found, outgoing, answer, read_back)
    if arrival is Arrival.DIFFERENT:
        raise StoreError(f"{what} is not what was sent: its digest differs", _DAMAGED)
    if arrival is Arrival.UNKNOWN:
        log.warning("whether %s is what was sent cannot be known: %s", what, UNVERIFIED)
    return replace(found, verified=arrival is Arrival.SAME)


def _digest(read_back: Callable[[], Any]) -> tuple[int, str] | None:
    """Read an object and return its size and SHA-256 (hex); None where the credentials may not."""
    from botocore.exceptions import ClientError

    from ..system.http import CHUNK  # brings a client of HTTP, which an idle tick does without

    digest, size = hashlib.sha256(), 0
    try:
        with closing(read_back()) as body:
            for piece in body.iter_chunks(CHUNK):
                digest.update(piece)
                size += len(piece)
    except ClientError as error:
        if code_of(error) in REFUSED:
            return None
        raise
    return size, digest.hexdigest()
