"""Whether the server's disk has room for a second copy of the database: seen where the server is on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .session import fetch_one

if TYPE_CHECKING:
    from .session import Connection

_PLACE = """
SELECT pg_catalog.current_setting('data_directory'), extract(epoch FROM (pg_catalog.pg_stat_file('.')).modification)
"""
_TAKEN = "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_database_size(oid)), 0) FROM pg_catalog.pg_database"
_SUPERUSER = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"


def lacking_disk_space(connection: Connection, metadata: Mapping[str, Any]) -> list[str]:
    """Given a superuser's connection and the manifest's metadata, return what is wrong with the disk, if anything.

    Nothing is also what is said where the disk cannot be seen: a server elsewhere, or behind folders closed to us.
    """
    needed = metadata.get("size", 0)
    if not needed or not fetch_one(connection, _SUPERUSER)[0]:
        return []
    folder, modified = fetch_one(connection, _PLACE)
    try:
        # A server in a container calls its folder by a name that may mean another one here.
        if abs(os.stat(folder).st_mtime - float(modified)) >= 1:  # noqa: PTH116 - a path of the server's
            return []
        disk = os.statvfs(folder)
    except OSError:
        return []
    free = disk.f_bavail * disk.f_frsize
    if free >= needed:
        return []
    taken = fetch_one(connection, _TAKEN)[0]
    return [
        f"the restored database needs about {needed:,} bytes, and {folder} has {free:,} bytes free"
        f" (all databases there have {taken:,})"
    ]
