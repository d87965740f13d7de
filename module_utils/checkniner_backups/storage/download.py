"""How an object comes out of a store: as a stream, taken up again where a broken connection left it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, BinaryIO

from ..system.http import CHUNK
from .client import ATTEMPTS, StoredObject

log = logging.getLogger(__name__)


def receive(
    client: Any, bucket: str, stored: StoredObject, file: BinaryIO, progress: Callable[[int], None] | None
) -> tuple[int, str]:
    """Given what the store says of an object, write its content to a new file; return size and SHA-256 (hex).

    :param progress: is called with the number of bytes of each piece
    :raises botocore.exceptions.BotoCoreError: the connection broke again and again
    :raises OSError: the local file
    """
    digest = hashlib.sha256()
    for piece in _pieces(client, bucket, stored):
        file.write(piece)
        digest.update(piece)
        if progress:
            progress(len(piece))
    return file.tell(), digest.hexdigest()


def _pieces(client: Any, bucket: str, stored: StoredObject) -> Iterator[bytes]:
    from botocore.exceptions import BotoCoreError

    offset = 0
    for attempt in range(1, ATTEMPTS + 1):
        arguments = {"Range": f"bytes={offset}-", "IfMatch": f'"{stored.etag}"'} if offset else {}
        try:
            # Its own __enter__ would give the raw response, which checks neither checksum nor length.
            with closing(client.get_object(Bucket=bucket, Key=stored.key, **arguments)["Body"]) as body:
                for piece in body.iter_chunks(CHUNK):
                    offset += len(piece)
                    yield piece
                    if offset > stored.size:  # it is not what was promised, and could fill the disk
                        return
            return
        except BotoCoreError as error:
            if attempt == ATTEMPTS or not offset:
                raise
            log.info("the download of %s broke at byte %d: %s", stored.key, offset, type(error).__name__)
