"""Who plays whom: as an ordinary user one plays every part oneself; root gives each part an unprivileged account."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Account:
    """A system user, and how to run a program as it."""

    name: str
    user_id: int
    group_id: int

    @property
    def is_us(self) -> bool:
        """Whether that is who we are already."""
        return self.user_id == os.geteuid()

    def options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.run` and `Popen` that start a program as this user."""
        return {} if self.is_us else {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        check: bool = True,
        input: str | None = None,  # noqa: A002 (as in subprocess.run)
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Given a command, run it as this user and return its status, output and errors (text).

        :param environment: added to a bare environment (PATH, locale, HOME); nothing else of ours is handed on
        :param folder: where it runs, and its HOME unless the environment says otherwise; default: the root folder
        :param timeout: seconds
        :raises subprocess.CalledProcessError: it failed, and `check` was asked for; its stderr is part of the text
        """
        place = str(folder or "/")
        result = subprocess.run(
            [str(word) for word in argv],
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": place, **(environment or {})},
            cwd=place,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            umask=0o077,
            **self.options(),
        )
        if check and result.returncode:
            error = subprocess.CalledProcessError(result.returncode, result.args, result.stdout, result.stderr)
            error.add_note(result.stderr[-4000:])
            raise error
        return result

    def own(self, path: Path) -> None:
        """Given a file or folder, make this user the owner of it and of everything in it."""
        if self.is_us:
            return
        os.chown(path, self.user_id, self.group_id, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            for entry in path.iterdir():
                self.own(entry)


def ourselves() -> Account:
    """Return who runs this."""
    return Account(_name(os.geteuid()), os.geteuid(), os.getegid())


def database_account() -> Account:
    """Return who runs PostgreSQL: root, whom it refuses, hands that to `postgres`, or to `nobody`."""
    return _stand_in("postgres", "nobody")


def owner_account() -> Account:
    """Return who owns the application: ourselves, or for root an existing unprivileged user, never `postgres`."""
    return _stand_in("www-data", "nobody")


def _stand_in(*names: str) -> Account:
    if os.geteuid() != 0:
        return ourselves()
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError(f"none of the users {', '.join(names)} exists: run this as an ordinary user")


def _name(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
