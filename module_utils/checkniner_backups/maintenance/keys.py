"""What is known of the keys that archives are encrypted to."""

from __future__ import annotations

from typing import Any

from ..errors import BackupsError
from ..settings import Settings

WARN_DAYS = 30
"""Days before a key's end from which on every tick warns."""


def keys_of(settings: Settings) -> list[dict[str, Any]]:
    """Given the settings, return what is known of each key; `problem` is empty where all is well with it.

    `expires` is in seconds since the epoch, UTC; 0 for never, or where the key cannot be used.
    """
    if not settings.encryption:
        return []
    from ..openpgp.keyring import Keyring

    found = []
    for fingerprint in settings.recipients:
        days, expires, problem, usable = None, 0.0, "", False
        try:
            key = Keyring(settings.gnupg_home).usable_for_encryption(fingerprint)
            days, expires = key.days_left, key.expires.timestamp() if key.expires else 0.0
            usable = True
            if days is not None and days < WARN_DAYS:
                problem = f"key {fingerprint} expires in {days:.0f} days: backups will stop then"
        except BackupsError as error:
            problem = error.message
        found.append(
            {"fingerprint": fingerprint, "days_left": days, "expires": expires, "usable": usable, "problem": problem}
        )
    return found
