"""Which archive is meant: the newest, the newest at a time, or one by its key; and what is said where there is none."""

from __future__ import annotations

from datetime import datetime

from ..errors import NotFoundError, SettingsError, StoreError
from ..settings import SAFETY
from ..system.timestamps import parse_timestamp
from .catalog import Archive, Listing, Newest, find_newest, newest_at_or_before, oldest_after, parse, shown

_FOLDERS = 20
"""So many folders of a bucket are looked into, where the prefix seems to be wrong."""


def pick(store: Listing, timestamp: datetime | None = None) -> Archive:
    """Given an aware timestamp or none, return the archive to restore: the newest one, or the newest at that timestamp.

    :raises NotFoundError: there is none; the message says what there is around that time
    """
    looked = find_newest(store) if timestamp is None else Newest(newest_at_or_before(store, timestamp))
    if looked.archive:
        return looked.archive
    if looked.ahead:
        raise NotFoundError(
            f"no archive in {store} but one of the future, {looked.ahead.key}",
            "no tick with a right clock made it; to restore it all the same, name its key as the archive",
        )
    hint = f"keys look like {store.prefix}2026-11-22T19:35:00.tar.gz.gpg; "
    if there := prefixes_with_archives(store):
        hint += f"the bucket has archives below {', '.join(there)}: is one of these checkniner_backups_s3_prefix?"
    else:
        hint += "check the bucket and the prefix; these keys see no archive in another folder of the bucket"
    if timestamp is None:
        raise NotFoundError(f"no archive in {store}", hint)
    after = oldest_after(store, timestamp)
    when = f"{shown(timestamp)} UTC"
    if after is None:
        raise NotFoundError(f"no archive at or before {when} in {store}: there is none at all", hint)
    raise NotFoundError(
        f"no archive at or before {when} in {store}", f"the oldest one is {after.name} ({shown(after.stamp)} UTC)"
    )


def prefixes_with_archives(store: Listing) -> list[str]:
    """Given a store, return the prefixes in its bucket that hold archives, the first few; none where nothing may be
    listed but its own."""
    found: list[str] = []
    try:
        folders = sorted(name for page in store.pages("", "/") for name in page.prefixes)
        for folder in folders[:_FOLDERS]:
            page = next(iter(store.pages(folder)), None)
            keys = [each.key for each in page.objects] if page else []
            above = {key[: -len(key.rpartition("/")[2])] for key in keys}
            found += sorted(
                each
                for each in above
                if not each.endswith(SAFETY) and any(parse(key, each) for key in keys if key.startswith(each))
            )
    except StoreError:  # the server's own credentials may list their prefix alone
        return found
    return found[:_FOLDERS]


def choose(store: Listing, archive: str = "latest", at: str = "") -> Archive:
    """Given `latest` or a key, or a time in words, return the archive that is meant.

    :raises SettingsError: the key or the time cannot be understood, or both are given
    :raises NotFoundError: there is none
    """
    if at:
        if archive not in ("", "latest"):
            raise SettingsError("both an archive and a time are given", "give one of them")
        return pick(store, parse_timestamp(at))
    if archive in ("", "latest"):
        return pick(store)
    folder = archive.rpartition("/")[0]
    # A key may also be that of a safety backup, which lies deeper and is never "the newest".
    found = parse(archive, f"{folder}/" if folder else "") if archive.startswith(store.prefix) else None
    if found is None:
        raise SettingsError(
            f"{archive!r} is not an archive's key", f"it looks like {store.prefix}2026-11-22T19:35:00.tar.gz.gpg"
        )
    return found
