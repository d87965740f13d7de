"""Removing objects from a store: for the operator's prune alone. `Store` has no way to do it, and no code of a tick
imports this room (`tests/meta/test_removal.py`).

In a bucket with versions, each version is named and removed, the current one last: no delete marker is written, so what
Object Lock keeps stays where a restore finds it, and a removal that was cut off is done again by the next one. Where
versions cannot be listed, the store is asked for a plain removal, and what it then still keeps is said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import printable
from ..settings import StoreSettings, history_prefix
from .arrival import REFUSED
from .client import make_client
from .faults import code_of, translated
from .fences import NOT_IMPLEMENTED, OFF, UNKNOWN, Fences, fences, held

log = logging.getLogger(__name__)

BATCH = 1000
"""The most objects that one request may name."""
_NOT_AT_ONCE = (
    *NOT_IMPLEMENTED, "MissingContentMD5", "InvalidDigest", "BadDigest", "InvalidRequest", "InvalidArgument", "400",
    "BadRequest", "MalformedXML", "411", "MissingContentLength", "XAmzContentSHA256Mismatch",
)  # fmt: skip
"""Codes of a store that cannot remove several objects with one request, or not as this client asks it to."""
_HELD = (*REFUSED, "ObjectLocked", "AccessForbidden")
_GONE = ("NoSuchKey", "NoSuchVersion", "404", "NotFound")
_UNANSWERED = "no answer for this object"

Version = tuple[str, str]
"""A key and the id of one version; an empty id where the object has no versions, or they are not known."""


@dataclass
class Removed:
    """What a removal did.

    :ivar gone: the keys that the store says are gone, with all versions
    :ivar freed: bytes, those of older versions among them
    :ivar kept: keys that the store refused to remove, with its code
    :ivar failed: keys that could not be removed for another reason, with the store's code
    :ivar notes: what else the operator must know, a sentence each
    """

    gone: list[str] = field(default_factory=list)
    freed: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Removal:
    """Removes objects below a store's prefix. Each method may raise `StoreError`."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        with translated(settings, "use"):
            self._client = make_client(settings)
        self._prefixes = (settings.prefix, history_prefix(settings.prefix))
        self._at_once = True
        self._fences: Fences | None = None

    @property
    def fences(self) -> Fences:
        """What protects the bucket, asked once."""
        if self._fences is None:
            self._fences = fences(self._settings, self._client)
        return self._fences

    def held(self, keys: Sequence[str]) -> dict[str, str]:
        """Given keys, return those that Object Lock or a legal hold keeps, with the reason in words.

        One request for each key, unless it is known that the bucket has no Object Lock.
        """
        if self.fences.lock == OFF:
            return {}
        with translated(self._settings, "look at"):
            found = {key: held(self._client, self._settings.bucket, key) for key in keys}
        return {key: reason for key, reason in found.items() if reason}

    def remove(self, sizes: Mapping[str, int]) -> Removed:
        """Given keys of archives, of what belongs to them, or of the history, with their sizes in bytes, remove them
        with all their versions."""
        done = Removed()
        assert all(key.startswith(self._prefixes) for key in sizes)  # noqa: S101 # a fault of ours, if not
        with translated(self._settings, "remove from"):
            older, current = self._versions(sizes, done)
            lengths = {**older, **current}
            for version, code in self._removed(list(older)):
                self._note(done, version, code, lengths[version])
            whole = [each for each in current if each[0] not in done.kept and each[0] not in done.failed]
            for version, code in self._removed(whole):
                self._note(done, version, code, lengths[version])
        done.gone = [key for key in sizes if key not in done.kept and key not in done.failed]
        return done

    @staticmethod
    def _note(done: Removed, version: Version, code: str, size: int) -> None:
        key = version[0]
        if not code or code in _GONE:
            done.freed += size
        else:
            (done.kept if code in _HELD else done.failed)[key] = printable(code)

    def _versions(self, sizes: Mapping[str, int], done: Removed) -> tuple[dict[Version, int], dict[Version, int]]:
        """Return what is to be removed first, and what last, each with its size in bytes."""
        plain = {(key, ""): size for key, size in sizes.items()}
        if self.fences.versioning == OFF or not sizes:
            return {}, plain
        from botocore.exceptions import ClientError

        older: dict[Version, int] = {}
        current: dict[Version, int] = {}
        try:
            for entry in self._listed(sizes):
                version = (entry["Key"], entry["VersionId"])
                (current if entry.get("IsLatest") else older)[version] = int(entry.get("Size") or 0)
        except ClientError as error:
            if code_of(error) not in (*REFUSED, *NOT_IMPLEMENTED):
                raise
            if self.fences.versioning != UNKNOWN:
                done.notes.append(
                    "older versions of what was removed stay, for these keys may not list versions: give them the"
                    " rights that scripts/policy --prune prints, or let a lifecycle rule remove noncurrent versions"
                )
            return {}, plain
        if self.fences.versioning == UNKNOWN and {each for _, each in (*older, *current)} <= {"null"}:
            return {}, plain
        # What a LIST of versions leaves out is asked for as it is, so that nothing is called gone that was not named.
        listed = {key for key, _ in current}
        return older, current | {(key, ""): size for key, size in sizes.items() if key not in listed}

    def _listed(self, sizes: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        pages = self._client.get_paginator("list_object_versions")
        for prefix in self._prefixes:
            if not any(key.startswith(prefix) for key in sizes):
                continue
            for page in pages.paginate(Bucket=self._settings.bucket, Prefix=prefix):
                for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    if entry["Key"] in sizes:
                        yield entry

    def _removed(self, versions: Sequence[Version]) -> Iterator[tuple[Version, str]]:
        """Given versions, remove them and yield each with the store's error code, which is empty where it is gone."""
        for start in range(0, len(versions), BATCH):
            batch = versions[start : start + BATCH]
            codes = self._together(batch) if self._at_once else None
            yield from codes.items() if codes is not None else ((each, self._alone(each)) for each in batch)

    def _together(self, batch: Sequence[Version]) -> dict[Version, str] | None:
        """Remove up to 1,000 versions with one request. None where the store cannot."""
        from botocore.exceptions import ClientError

        try:
            answer = self._client.delete_objects(
                Bucket=self._settings.bucket, Delete={"Objects": [self._named(*version) for version in batch]}
            )
        except ClientError as error:
            code = code_of(error)
            if code in REFUSED:
                return dict.fromkeys(batch, code)
            if code not in _NOT_AT_ONCE:
                raise
            log.info("the store does not remove several objects at once (%s): one by one", code)
            self._at_once = False
            return None
        codes = dict.fromkeys(batch, _UNANSWERED)
        for entry in answer.get("Deleted", ()):
            for id_ in (entry.get("VersionId"), entry.get("DeleteMarkerVersionId"), ""):
                if (entry["Key"], id_ or "") in codes:
                    codes[entry["Key"], id_ or ""] = ""
        for entry in answer.get("Errors", ()):
            # A store may leave the version out: then it is all of this key's.
            for version in batch:
                if version[0] == entry.get("Key") and entry.get("VersionId") in (None, "", version[1]):
                    codes[version] = str(entry.get("Code") or _UNANSWERED)
        return codes

    def _alone(self, version: Version) -> str:
        from botocore.exceptions import ClientError

        try:
            self._client.delete_object(Bucket=self._settings.bucket, **self._named(*version))
        except ClientError as error:
            return code_of(error) or _UNANSWERED
        return ""

    @staticmethod
    def _named(key: str, version: str) -> dict[str, str]:
        return {"Key": key, "VersionId": version} if version else {"Key": key}
