"""Who runs what is not ours to trust: root hands a throwaway server, and the code and data in it, to somebody with
less power. An ordinary user has nobody to hand it to."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import SettingsError


@dataclass(frozen=True)
class Account:
    """A system user to start programs as."""

    user_id: int
    group_id: int

    @property
    def is_us(self) -> bool:
        """Whether that is who we are already."""
        return self.user_id == os.geteuid()

    def options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that start a program as this user."""
        return {} if self.is_us else {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Given a file or folder of ours, give it to this user."""
        if not self.is_us:
            os.chown(path, self.user_id, self.group_id, follow_symlinks=False)

    def own_open(self, file: IO[bytes]) -> None:
        """Given an open file of ours, give it to this user, whatever its name has come to mean meanwhile."""
        if not self.is_us:
            os.fchown(file.fileno(), self.user_id, self.group_id)


def ourselves() -> Account:
    """Return who runs this."""
    return Account(os.geteuid(), os.getegid())


def unprivileged(code: Path | None = None) -> Account:
    """Return ourselves, or for root somebody with less power: who owns `code`, or else `postgres` or `nobody`.

    :param code: a folder with code that is to run, if there is some
    :raises SettingsError: we are root, and there is nobody else
    """
    if os.geteuid() != 0:
        return ourselves()
    try:
        found = code.stat() if code else None
    except OSError as error:
        raise SettingsError(f"cannot look at {code}: {error.strerror}", "the application's path is a setting") from None
    if found and found.st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise SettingsError("neither the user postgres nor the user nobody exists", "run it as an ordinary user")
