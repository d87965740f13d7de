"""How one file gets into a store: in parts when it is large, only where nothing was, with a bounded memory."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .client import with_kms

log = logging.getLogger(__name__)

Progress = Callable[[int], None]
"""Is called with the number of bytes of each piece; with a negative one when a piece is sent again."""

_MIB = 1 << 20
PART_SIZE = 8 * _MIB
MOST_PARTS = 1000
"""Amazon takes 10,000 parts; some stores take 1,000."""

_CONDITIONAL = ("PutObject", "CompleteMultipartUpload")


def part_size(size: int) -> int:
    """Given a file's size in bytes, return the size of its parts: 8 MiB, more where that would make over 1,000."""
    needed = -(-size // MOST_PARTS)
    return max(PART_SIZE, -(-needed // _MIB) * _MIB)


@dataclass(frozen=True)
class Outgoing:
    """A file on its way: what the store should hold when it has arrived.

    :ivar size: bytes
    :ivar sha256: of the content, hex
    """

    path: Path
    size: int
    sha256: str

    @property
    def in_parts(self) -> bool:
        """Whether it is uploaded in parts."""
        return self.size >= PART_SIZE

    def etags(self) -> tuple[str, ...]:
        """Read the file and return the ETags that a store without KMS encryption may give it (hex).

        The first is Amazon's: MD5 of the content, or for parts MD5 of the parts' MD5s with `-N`. Some stores give MD5
        of the content in any case.
        """
        whole, parts = hashlib.md5(usedforsecurity=False), []
        with self.path.open("rb") as file:
            while piece := file.read(part_size(self.size)):
                whole.update(piece)
                if self.in_parts:
                    parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
        if not self.in_parts:
            return (whole.hexdigest(),)
        together = hashlib.md5(b"".join(parts), usedforsecurity=False)
        return f"{together.hexdigest()}-{len(parts)}", whole.hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a store answered to a put: the ETag (without quotes), and whether it says that a key of KMS is in use."""

    etag: str = ""
    kms: bool = False


def transfer(
    client: Any,
    bucket: str,
    key: str,
    outgoing: Outgoing,
    *,
    arguments: Mapping[str, Any],
    progress: Progress | None,
    conditional: bool,
) -> Answer:
    """Given a client of boto3 and a file, put the file under the key and return the store's answer.

    :param arguments: options of PutObject and CreateMultipartUpload alike
    :param conditional: put it only where nothing is
    :raises botocore.exceptions.ClientError: the store refused; an upload in parts was aborted
    :raises botocore.exceptions.BotoCoreError: the store was not reached, or the connection broke
    """
    from s3transfer.manager import TransferConfig, TransferManager
    from s3transfer.subscribers import BaseSubscriber

    class Tell(BaseSubscriber):  # type: ignore[misc, unused-ignore]
        def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002
            if progress:
                progress(bytes_transferred)

    config = TransferConfig(
        multipart_threshold=PART_SIZE,
        multipart_chunksize=part_size(outgoing.size),
        max_request_concurrency=4,
        max_submission_concurrency=1,
        max_in_memory_upload_chunks=4,
    )
    with _listening(client, conditional) as confirmed, TransferManager(client, config) as manager:
        manager.upload(str(outgoing.path), bucket, key, dict(arguments), [Tell()]).result()
    return confirmed[-1] if confirmed else Answer()


@contextmanager
def _listening(client: Any, conditional: bool) -> Iterator[list[Answer]]:
    """Add the condition to the puts inside the block, which s3transfer cannot, and collect the answers to them."""
    confirmed: list[Answer] = []

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["IfNoneMatch"] = "*"

    def listen(parsed: Mapping[str, Any], **_: Any) -> None:
        if parsed.get("ETag"):
            confirmed.append(Answer(str(parsed["ETag"]).strip('"'), with_kms(parsed)))

    handlers: list[tuple[str, Callable[..., None]]] = [
        (f"after-call.s3.{operation}", listen) for operation in _CONDITIONAL
    ]
    if conditional:
        handlers += [(f"provide-client-params.s3.{operation}", ask) for operation in _CONDITIONAL]
    for event, handler in handlers:
        client.meta.events.register(event, handler)
    try:
        yield confirmed
    finally:
        for event, handler in handlers:
            client.meta.events.unregister(event, handler)


def abort_stale(client: Any, bucket: str, prefix: str, ours: Callable[[str], bool], older_than: timedelta) -> int:
    """Given a predicate for keys, abort the uploads in parts that began that long ago and never ended; return how many.

    A dead link leaves them behind; nobody sees them, and they are paid for.
    """
    latest = datetime.now(timezone.utc) - older_than
    aborted = 0
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Uploads", ()):
            if ours(entry["Key"]) and entry["Initiated"] <= latest:
                client.abort_multipart_upload(Bucket=bucket, Key=entry["Key"], UploadId=entry["UploadId"])
                log.info("aborted the unfinished upload of %s in bucket %s", entry["Key"], bucket)
                aborted += 1
    return aborted
