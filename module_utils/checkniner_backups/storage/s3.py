"""Where archives go: an S3 bucket and a prefix, behind one class. Nothing else here knows boto3.

boto3 is imported, and the client made, by the first request: who sends nothing pays nothing. There is no way to delete
an object: the server must not be able to. The operator's prune has a room of its own for that (`removal`).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from ..errors import BackupsError, StoreError
from ..settings import StoreSettings
from ..system.files import whole_file
from .arrival import REFUSED, Arrival, compare, confirmed
from .client import Page, StoredObject, described, make_client
from .faults import EXISTS, check_settings, code_of, location, translated
from .upload import Answer, Outgoing, Progress, abort_stale, transfer

log = logging.getLogger(__name__)

ARCHIVE_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\.tar\.gz(\.gpg)?\Z")
"""An archive's file name: the key without the prefix."""

_RECORD_LIMIT = 1 << 20  # bytes
_MISSING = ("404", "NoSuchKey", "NotFound")
_NEVER_SENT = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ProxyConnectionError",
    "NoCredentialsError",
    "SSLError",
)


class Store:
    """One bucket and prefix. Every method may raise `StoreError`; each message names the bucket and the key.

    :ivar requests: how often each operation was sent, attempts that failed included: `{"ListObjectsV2": 3}`
    :ivar clock_ahead: seconds by which the store's clock was ahead of ours at its last answer; 0.0 where not known
    :raises SettingsError: no bucket, or an endpoint that is no http or https URL
    """

    def __init__(self, settings: StoreSettings) -> None:
        check_settings(settings)
        self.settings = settings
        self.bucket = settings.bucket
        self.prefix = settings.prefix
        self.requests: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._made: Any = None
        self._may_head = True
        self.clock_ahead = 0.0

    def __str__(self) -> str:
        return location(self.settings)

    def key(self, name: str) -> str:
        """Given a file's name, return its key."""
        return self.prefix + name

    def check(self) -> None:
        """Ask for one key below the prefix: proves network, credentials, bucket and the right to list.

        :raises StoreError: one of them is wrong
        """
        with translated(self.settings, "list"):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def pages(self, prefix: str | None = None, delimiter: str = "") -> Iterator[Page]:
        """Given a key prefix (the store's own if none) and a delimiter, yield what is there, one LIST at a time.

        Stores differ in the order of keys: sort before use.
        """
        arguments = {"Bucket": self.bucket, "Prefix": self.prefix if prefix is None else prefix}
        if delimiter:
            arguments["Delimiter"] = delimiter
        with translated(self.settings, "list"):
            for answer in self._client.get_paginator("list_objects_v2").paginate(**arguments):
                yield Page(
                    tuple(described(entry["Key"], entry, "Size") for entry in answer.get("Contents", ())),
                    tuple(entry["Prefix"] for entry in answer.get("CommonPrefixes", ())),
                )

    def list(self, prefix: str | None = None) -> Iterator[StoredObject]:
        """Given a key prefix (the store's own if none), yield all objects below it, in the store's order."""
        for page in self.pages(prefix):
            yield from page.objects

    def head(self, key: str) -> StoredObject:
        """Given a key, return what the store says of it, with our digest from the metadata.

        :raises NotFoundError: there is no such object
        """
        with translated(self.settings, "look at", key):
            return described(key, self._client.head_object(Bucket=self.bucket, Key=key), "ContentLength")

    def look(self, key: str) -> StoredObject | None:
        """Given a key, return what is stored, as far as these credentials may see it. None if nothing is there.

        Who may only put and list is refused the HEAD, and gets what a LIST knows: no digest, but size and ETag.
        """
        from botocore.exceptions import ClientError

        with translated(self.settings, "look at", key):
            if self._may_head:
                try:
                    answer = self._client.head_object(Bucket=self.bucket, Key=key)
                    return described(key, answer, "ContentLength")
                except ClientError as error:
                    if code_of(error) in _MISSING:
                        return None
                    if code_of(error) not in REFUSED:
                        raise
                    self._may_head = False
            # More than one key: `x.tar.gz` is also the start of `x.tar.gz.gpg`, and not every store sorts.
            answer = self._client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=10)
            found = [entry for entry in answer.get("Contents", ()) if entry["Key"] == key]
            return described(key, found[0], "Size") if found else None

    def upload(
        self,
        path: Path,
        key: str,
        sha256: str,
        extra_metadata: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Given a file and its SHA-256 (hex), store it under the key and return what the store then holds.

        It is put only where nothing was. Afterwards it is looked at: the size, and what the store computed of the
        content (`arrival`). When the answer to the put was lost on the way, the look decides.

        :param extra_metadata: is stored with it; names in lower case
        :raises StoreError: refused, not reached, another object is there, or what is stored is not what was sent
        :raises DiskError: the file cannot be read
        """
        from botocore.exceptions import BotoCoreError, ClientError

        metadata = {**(extra_metadata or {}), "sha256": sha256}
        with translated(self.settings, "upload", key):
            outgoing = Outgoing(path, path.stat().st_size, sha256)
            try:
                answer = self._put(key, outgoing, metadata, progress)
            except (BotoCoreError, ClientError) as error:
                found = self._after(error, key)
                if not (found and compare(found, outgoing, Answer(), self._reader(key)) is Arrival.SAME):
                    if found and code_of(error) in EXISTS:
                        hint = "an archive is never overwritten: look who else writes below this prefix"
                        raise StoreError(f"{key} in {self} is there already, and is another object", hint) from None
                    raise
                log.info("the answer to the upload of %s was lost, but it is in %s", key, self)
            else:
                found = confirmed(f"{key} in {self}", self.look(key), outgoing, answer, self._reader(key))
        if outgoing.in_parts:
            try:
                self.abort_stale_uploads()
            except StoreError as error:  # housekeeping: what was asked for is done
                log.info("unfinished uploads were not looked for: %s", error.message)
        assert found is not None  # noqa: S101 # both ways above have looked at it
        return found

    def abort_stale_uploads(self, older_than: timedelta = timedelta(days=1)) -> int:
        """Abort archives' uploads in parts that began that long ago and never ended; return how many there were."""
        with translated(self.settings, "look for unfinished uploads in"):
            return abort_stale(self._client, self.bucket, self.prefix, self._ours, older_than)

    def download(self, key: str, path: Path, progress: Progress | None = None) -> StoredObject:
        """Given a key, download it to the path (0600, whole or not at all). A cut connection is taken up again.

        :raises NotFoundError: there is no such object
        :raises StoreError: what arrived has not the size or the SHA-256 that the store promised
        :raises DiskError: the local disk is full or cannot be written
        """
        from .download import receive

        stored = self.head(key)
        with translated(self.settings, "download", key), whole_file(path) as file:
            size, sha256 = receive(self._client, self.bucket, stored, file, progress)
            if size != stored.size or (stored.sha256 and sha256 != stored.sha256):
                hint = "fetch it again; if that does not help, it was damaged in the store: take another archive"
                raise StoreError(f"{key} in {self} is not what was uploaded", hint)
        return stored

    def read_head(self, key: str, size: int) -> bytes:
        """Given a key and a number of bytes, return the object's first ones (fewer if it is shorter).

        :raises NotFoundError: there is no such object
        """
        from botocore.exceptions import ClientError

        with translated(self.settings, "read", key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key, Range=f"bytes=0-{size - 1}")
            except ClientError as error:
                if code_of(error) in ("InvalidRange", "416"):  # it is empty
                    return b""
                raise
            with closing(answer["Body"]) as body:
                return bytes(body.read(size))  # a store that ignores the range sends more

    def presigned_url(self, key: str, seconds: int = 3600) -> str:
        """Given a key, return a URL that lets anybody GET it for that long (7 days at most). It is a secret."""
        with translated(self.settings, "sign a request for", key):
            return str(
                self._client.generate_presigned_url(
                    "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=min(max(1, seconds), 604800)
                )
            )

    def put_json(self, key: str, value: object) -> None:
        """Given a key and what JSON can express, store it as a small record. It replaces one that is there."""
        self.put_small(key, json.dumps(value, sort_keys=True, indent=1).encode(), ContentType="application/json")

    def put_small(self, key: str, body: bytes, **more: str) -> None:
        """Given a key and a few bytes, store them. They replace what is there."""
        with translated(self.settings, "write", key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, **more, **self._storage(small=True))

    def get_json(self, key: str) -> Any:
        """Given a key, return the record that `put_json` stored there.

        :raises NotFoundError: there is none
        :raises StoreError: it is no JSON, or larger than 1 MiB
        """
        body = self.read_head(key, _RECORD_LIMIT)
        try:
            return json.loads(body)
        except ValueError:
            raise StoreError(f"{key} in {self} is no JSON record", "it was not written by this program") from None

    @property
    def _client(self) -> Any:
        if self._made is None:
            with translated(self.settings, "use"):
                self._made = make_client(self.settings)
            self._made.meta.events.register("before-send.s3", self._count)
            self._made.meta.events.register("after-call.s3", self._look_at_the_clock)
        return self._made

    def _count(self, event_name: str, **_: Any) -> None:
        with self._counting:
            self.requests[event_name.rpartition(".")[2]] += 1

    def _look_at_the_clock(self, http_response: Any, **_: Any) -> None:
        with suppress(TypeError, ValueError):  # a store that says no time, or no real one
            date = parsedate_to_datetime(http_response.headers.get("Date"))
            self.clock_ahead = date.timestamp() - time.time()

    def _ours(self, key: str) -> bool:
        return key.startswith(self.prefix) and ARCHIVE_NAME.match(key[len(self.prefix) :]) is not None

    def _storage(self, small: bool = False) -> dict[str, str]:
        """What the settings say of how to store; a storage class for cold things is not for small records."""
        chosen = {
            "ServerSideEncryption": self.settings.server_side_encryption,
            "SSEKMSKeyId": self.settings.kms_key_id,
            "StorageClass": "" if small else self.settings.storage_class,
        }
        return {name: value for name, value in chosen.items() if value}

    def _put(self, key: str, outgoing: Outgoing, metadata: Mapping[str, str], progress: Progress | None) -> Answer:
        from botocore.exceptions import ClientError

        options: dict[str, Any] = {"arguments": {"Metadata": metadata, **self._storage()}, "progress": progress}
        try:
            return transfer(self._client, self.bucket, key, outgoing, conditional=True, **options)
        except ClientError as error:
            # A store that knows no conditional put and says so: look, then put.
            if code_of(error) not in ("NotImplemented", "501") or self.look(key):
                raise
            return transfer(self._client, self.bucket, key, outgoing, conditional=False, **options)

    def _after(self, error: Exception, key: str) -> StoredObject | None:
        """After a failed put, look whether it arrived all the same. None if not, or if nobody can tell."""
        if type(error).__name__ in _NEVER_SENT or code_of(error) in REFUSED:
            return None
        try:
            return self.look(key)
        except BackupsError:
            return None

    def _reader(self, key: str) -> Callable[[], Any] | None:
        """Return what reads the object back; None where these credentials may not read."""
        return (lambda: self._client.get_object(Bucket=self.bucket, Key=key)["Body"]) if self._may_head else None
