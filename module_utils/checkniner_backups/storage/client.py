"""The client of boto3 that a store uses, and what it says of objects, in our words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..settings import StoreSettings
from ..system.timestamps import iso, parse_iso

ATTEMPTS = 3
"""How often a request is tried, pauses between."""
CREATED = "created"
"""The name under which the time of the data is noted with an object."""


@dataclass(frozen=True)
class StoredObject:
    """One object as the store describes it. A listing knows no metadata: there, `sha256` is empty.

    :ivar size: bytes
    :ivar modified: aware, UTC
    :ivar etag: without quotes
    :ivar sha256: what the uploader said of the content (hex), or empty
    :ivar created: the time of the data (aware, UTC), as the uploader said; None in a listing
    :ivar kms: whether the store says that it encrypts the object with a key of KMS: its ETag then says nothing
    :ivar verified: False after an upload where nobody could tell whether the store holds what was sent
    """

    key: str
    size: int
    modified: datetime | None = None
    etag: str = ""
    sha256: str = ""
    created: datetime | None = None
    kms: bool = False
    verified: bool = True


@dataclass(frozen=True)
class Page:
    """One answer to LIST: the objects, and what the delimiter rolled up."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]


def import_client() -> None:
    """Import what the first request needs: a quarter of a second, which a caller may spend while others read."""
    import boto3  # noqa: F401
    import s3transfer.manager  # noqa: F401


def make_client(settings: StoreSettings) -> Any:
    """Given the settings of a store, return a client of boto3. With no network it fails within about 20 seconds."""
    import boto3
    from botocore.config import Config

    keys: dict[str, Any] = {}
    if settings.access_key:
        keys = {"aws_access_key_id": settings.access_key, "aws_secret_access_key": settings.secret_key}
        if settings.session_token:
            keys["aws_session_token"] = settings.session_token
    session = boto3.session.Session(**keys, botocore_session=_without_profile() if keys else None)
    checksums: Any = settings.checksums
    addressing: Any = {"addressing_style": settings.addressing_style}
    return session.client(
        "s3",
        endpoint_url=settings.endpoint_url or None,
        region_name=settings.region or session.region_name or "us-east-1",
        verify=settings.ca_bundle or None,
        config=Config(
            signature_version="s3v4",  # presigned URLs too, which default to an older one in some regions
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            request_checksum_calculation=checksums,
            response_checksum_validation=checksums,
            s3=addressing,
        ),
    )


def _without_profile() -> Any:
    """Return a session that reads no profile and no file of Amazon's tools: where keys are given, these count alone."""
    import botocore.session

    nowhere = (None, None, os.devnull, None)  # its name in a file, its variables, its default, its type
    return botocore.session.Session(
        session_vars={"profile": (None, None, None, None), "config_file": nowhere, "credentials_file": nowhere}
    )


def described(key: str, entry: Mapping[str, Any], size: str) -> StoredObject:
    modified = entry.get("LastModified")
    metadata = {name.lower(): value for name, value in entry.get("Metadata", {}).items()}  # some change the case
    return StoredObject(
        key=key,
        size=int(entry[size]),
        modified=modified.astimezone(timezone.utc) if modified else None,
        etag=str(entry.get("ETag", "")).strip('"'),
        sha256=metadata.get("sha256", ""),
        created=_time(metadata.get(CREATED, "")),
        kms=with_kms(entry),
    )


def created_metadata(at: float) -> dict[str, str]:
    """Given the time of the data, in seconds since the epoch, return what is noted of it with the object."""
    return {CREATED: iso(datetime.fromtimestamp(int(at), timezone.utc))}


def _time(text: str) -> datetime | None:
    try:
        return parse_iso(text)
    except ValueError:
        return None


def with_kms(answer: Mapping[str, Any]) -> bool:
    """Given a store's answer, return whether it says that the object is encrypted with a key of KMS."""
    return str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
