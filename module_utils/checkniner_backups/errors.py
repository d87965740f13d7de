"""What can go wrong: one tree of exceptions, each with a message, a hint and an exit status.

A message is lowercase and says what failed and on what; the hint says what to do about it. No message
ever holds a secret: it ends up in logs, in Ansible's output and in mails from cron.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import ClassVar


def printable(text: str, *, lines: bool = False) -> str:
    """Given a text, return it with every character that could steer a terminal written out (`\\x1b`).

    Names and messages of a database come from whoever made the archive, and are shown to the operator.

    :param lines: whether it may have several lines
    """
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(each if each.isprintable() or each in kept else ascii(each)[1:-1] for each in text)


_SHOWN = 10


def shortened(names: Sequence[str]) -> str:
    """Given names, return the first of them as text, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class BackupsError(Exception):
    """The root of everything that this engine raises on purpose. Its words are fit to be shown, whoever wrote them.

    :param message: what failed and on what, lowercase, no full stop
    :param hint: what the reader can do about it; may be empty
    """

    exit_status: ClassVar[int] = 1
    meaning: ClassVar[str] = "a fault of ours (please report it)"
    """What the exit status tells, for the table of `--help`."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = printable(message, lines=True)
        self.hint = printable(hint, lines=True)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\nHINT: {self.hint}" if self.hint else self.message


class SettingsError(BackupsError):
    """A setting is missing or wrong, or the command was started as the wrong user."""

    exit_status = 3
    meaning = "a setting is missing or wrong, or the wrong user"


class ApplicationError(BackupsError):
    """The Django application, its virtualenv or its `bin/activate` cannot be used."""

    exit_status = 4
    meaning = "the application, its virtualenv or its bin/activate"


class DatabaseError(BackupsError):
    """PostgreSQL, or one of its client programs, refused or failed."""

    exit_status = 5
    meaning = "PostgreSQL"


class NoDatabaseError(DatabaseError):
    """The server is there, the database is not."""


class NameNotFoundError(DatabaseError):
    """A statement of a dump names what is not found in the search path; the database that it was loaded into is as it
    was before."""


class LockTimeoutError(DatabaseError):
    """A table could not be locked in time, or its lock not be kept on a standby: somebody is changing the schema. The
    caller may try again."""


class EncryptionError(BackupsError):
    """GnuPG, a key, or a passphrase."""

    exit_status = 6
    meaning = "GnuPG, a key or a passphrase"


class StoreError(BackupsError):
    """The S3 store refused, failed, or cannot be reached."""

    exit_status = 7
    meaning = "the S3 store"


class NotFoundError(StoreError):
    """What was asked for is not in the store."""


class ArchiveError(BackupsError):
    """An archive is damaged, hostile, or not one of ours."""

    exit_status = 8
    meaning = "an archive is damaged or not one of ours"


class RestoreError(BackupsError):
    """A restore stopped before it changed the running database."""

    exit_status = 9
    meaning = "a restore stopped before it changed the running database"


class VerificationError(RestoreError):
    """What was restored differs from what the manifest promises."""

    exit_status = 10
    meaning = "what was restored differs from the manifest; the running database is unchanged"


class DiskError(BackupsError):
    """The local disk is full or cannot be written."""

    exit_status = 11
    meaning = "the local disk, or another thing that this machine has run out of"
    NUMBERS: ClassVar[frozenset[int]] = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
    """Numbers of the system's errors that mean this, wherever they come from."""

    @classmethod
    def at(cls, path: object, error: OSError) -> DiskError:
        """Given what could not be written and the system's error, return ours."""
        hint = "look at the disk's free space, and at the folder's owner and mode"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space: the disk is full"
        elif error.errno == errno.EROFS:
            hint = "the file system is read-only; a fault of the disk makes it so: see dmesg, then mount it again"
        return cls(f"cannot write {path}: {error.strerror or error}", hint)


class MissedChangeError(BackupsError):
    """The daily full comparison found a change that the cheap checks had missed. It was saved; the fault is ours."""

    exit_status = 12
    meaning = "saved, but the cheap checks had missed the change (please report it)"


class WatchdogError(BackupsError):
    """The watchdog could not be told of a success. The backup itself is in the store."""

    exit_status = 13
    meaning = "done, but the watchdog could not be told"


class EmptyDatabaseError(BackupsError):
    """Nothing was saved, for there is nothing; on a new server, it would have become the newest archive."""

    exit_status = 14
    meaning = "not saved: the database is empty; on a new server, the archives in the store are to be restored"


class PrefixConflictError(BackupsError):
    """Another server saves below the same prefix: its archives and this one's cannot be told apart in a restore."""

    exit_status = 15
    meaning = "saved, but another server saves below the same prefix"


class PartialArchiveError(BackupsError):
    """The newest archive lacks a fixture that could not be read; its SQL and the other fixtures are in the store."""

    exit_status = 16
    meaning = "saved, but a fixture could not be read and is missing; the SQL is complete"


class RehearsalError(BackupsError):
    """A restore could not be rehearsed on this machine, or the rehearsed one failed; what is saved is not touched."""

    exit_status = 17
    meaning = "no restore was rehearsed: it would fail, or cannot be tried on this machine"


class OriginError(BackupsError):
    """An archive is not signed, or not by the server that it is asked of; or its server's key is not the known one."""

    exit_status = 19
    meaning = "an archive is not signed, or not by the server that it is asked of"


class BusyError(BackupsError):
    """Another tick holds the lock. 75 is EX_TEMPFAIL of sysexits.h: try again later."""

    exit_status = 75
    meaning = "another run is at work"


def exit_statuses() -> dict[int, str]:
    """Return each exit status of an error with its meaning, in their order. No two kinds of error share one."""
    found = {BackupsError.exit_status: BackupsError.meaning}
    kinds = [BackupsError]
    while kinds:
        kinds = [each for kind in kinds for each in kind.__subclasses__()]
        found |= {each.exit_status: each.meaning for each in kinds}
    return dict(sorted(found.items()))
