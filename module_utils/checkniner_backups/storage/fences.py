"""What stands between a bucket's objects and whoever would remove them: versioning and Object Lock. Only asked for.

Not every store knows the questions, and not every key may ask them: what is not answered is not known, and no error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..settings import StoreSettings
from .client import make_client
from .faults import code_of, translated

ON, SUSPENDED, OFF, UNKNOWN = "on", "suspended", "off", "unknown"
NOT_IMPLEMENTED = ("NotImplemented", "XNotImplemented", "501", "MethodNotAllowed", "405", "UnsupportedOperation")
_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound", "NoSuchObjectLockConfiguration")


@dataclass(frozen=True)
class Fences:
    """What a bucket is protected by.

    :ivar versioning: ON, SUSPENDED, OFF or UNKNOWN
    :ivar lock: of Object Lock, ON, OFF or UNKNOWN
    :ivar retention: how long and in which mode each new object is kept by default; empty where that is not set
    """

    versioning: str = UNKNOWN
    lock: str = UNKNOWN
    retention: str = ""

    @property
    def stated(self) -> str:
        """Both, in words."""
        retention = f" ({self.retention})" if self.retention else ""
        if UNKNOWN in (self.versioning, self.lock):
            retention += " (these keys may not ask: the rights that scripts/policy prints let them)"
        return f"versioning is {self.versioning}, Object Lock is {self.lock}{retention}"

    @property
    def weak(self) -> bool:
        """Whether it is known that nothing keeps an archive that is overwritten."""
        return self.versioning in (OFF, SUSPENDED) and not (self.lock == ON and self.retention)

    @property
    def thief(self) -> str:
        """One sentence: what a thief of the server's keys could do, if these have the rights of `scripts/policy`."""
        sentence = "with the rights of scripts/policy, a thief of this server's S3 keys could list and add archives"
        if self.lock == ON and self.retention:
            return f"{sentence}; none can be changed or removed until its retention ends"
        if self.versioning == ON:
            return f"{sentence}; one that is overwritten stays as an older version"
        if self.versioning == UNKNOWN:
            return f"{sentence}; whether one that is overwritten stays as an older version cannot be known"
        return f"{sentence}, but where the store does not refuse it, overwrite each: switch the bucket's versioning on"


def fences(settings: StoreSettings, client: Any = None) -> Fences:
    """Given a store's settings, and a client where there is one already, return what protects the bucket.

    :raises StoreError: the store cannot be reached
    """
    with translated(settings, "look at"):
        client = client or make_client(settings)
        answer = _asked(client.get_bucket_versioning, settings.bucket)
        versioning = answer if isinstance(answer, str) else {"Enabled": ON, "Suspended": SUSPENDED}.get(
            answer.get("Status", ""), OFF
        )  # fmt: skip
        answer = _asked(client.get_object_lock_configuration, settings.bucket)
        if isinstance(answer, str):
            return Fences(versioning, answer)
        lock = answer.get("ObjectLockConfiguration", {})
        default = lock.get("Rule", {}).get("DefaultRetention", {})
        length = next((f"{default[unit]} {unit.lower()}" for unit in ("Days", "Years") if default.get(unit)), "")
        retention = f"{default.get('Mode', '').lower()}, {length}" if length else ""
        return Fences(versioning, ON if lock.get("ObjectLockEnabled") == "Enabled" else OFF, retention)


def held(client: Any, bucket: str, key: str) -> str:
    """Given an object, return in words what the store keeps it by; empty where nothing does, or nothing is told."""
    from botocore.exceptions import ClientError

    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except ClientError:  # refused, or gone: the removal hears of it
        return ""
    if answer.get("ObjectLockLegalHoldStatus") == ON.upper():
        return "kept by a legal hold"
    until = answer.get("ObjectLockRetainUntilDate")
    if answer.get("ObjectLockMode") and until and until > datetime.now(timezone.utc):
        return f"kept by Object Lock until {until.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
    return ""


def _asked(question: Any, bucket: str) -> dict[str, Any] | str:
    """Given a method of the client, return the store's answer; OFF where the store has no such thing, UNKNOWN where
    these keys may not ask."""
    from botocore.exceptions import ClientError

    try:
        return dict(question(Bucket=bucket))
    except ClientError as error:
        code = code_of(error)
        return OFF if code in (*NOT_IMPLEMENTED, *_NO_LOCK) else UNKNOWN
