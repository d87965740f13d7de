"""What this server remembers between ticks, and the lock that keeps ticks apart.

The last backup is remembered only after the store has confirmed an upload; losing it costs one archive too many, never
one too few.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BusyError, DiskError, SettingsError
from ..system.files import folder_locked, write_durably
from ..system.stale_files import locked, sweep
from .last_backup import LastBackup, parse
from .last_tick import LastTick, parse_tick

if TYPE_CHECKING:
    from .last_rehearsal import LastRehearsal
    from .pause import Pause

log = logging.getLogger(__name__)

QUEUED, SERVER = ".rehearsal-", ".throwaway-"
"""How the names begin of a dataset that waits to be rehearsed, and of the folder of a throwaway server."""
LEFT = "commands.json"
"""The file in which a tick leaves the operator's commands to another process."""
PATIENCE = 300.0
"""Seconds that a person's playbook waits for a tick to end."""
_REHEARSAL, _TICK, _PAUSE = "rehearsal.json", "last_tick.json", "pause.json"
_TEMPORARY = (".pending.", ".safety-manifest.json.", ".scratch-", f".{_REHEARSAL}.", f".{_PAUSE}.", f".{LEFT}.",
              QUEUED, SERVER)  # fmt: skip
"""How the names of temporary files and folders in the state folder begin, beside those of the last backup."""
_DAY = 86400.0
"""Seconds: no playbook takes so long from its dump to its upload."""


def _locked(descriptor: int) -> bool:
    """Given a file, try to lock it, and return whether that was possible."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class State:
    """The state folder: 0700, the owner's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.json"

    @contextmanager
    def lock(self, patience: float = 0.0) -> Iterator[None]:
        """Hold the one lock of this application's backups. The kernel lets it go however the process ends.

        :param patience: seconds to wait for another run; a tick waits for none, a person's playbook meets many
        :raises BusyError: another run holds it
        :raises SettingsError: the folder is not there or not ours
        :raises DiskError: the disk is full or was made read-only
        """
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in DiskError.NUMBERS:
                raise DiskError.at(self.folder, error) from None
            raise SettingsError(
                f"cannot open the state folder {self.folder}: {error.strerror}",
                "run as the application's owner; setup-backups.yml makes the folder",
            ) from None
        try:
            until = time.monotonic() + patience
            while not _locked(descriptor):
                if time.monotonic() >= until:
                    hint = "it is left alone; if this repeats, look at its log"
                    raise BusyError("another run is still at work", hint)
                time.sleep(0.2)
            self._remove_work()
            yield
        finally:
            os.close(descriptor)

    def load(self) -> LastBackup | None:
        """Return the last backup, or None where that is not known."""
        try:
            return parse(self._file.read_text(errors="replace"), LastBackup)
        except OSError:
            # Unknown is safe: the next tick saves.
            return None

    def store(self, saved: LastBackup) -> None:
        """Remember, so that a power cut leaves either the old state or the new one."""
        with folder_locked(self.folder):
            write_durably(self._file, saved.to_json().encode())

    def store_over(self, before: LastBackup, saved: LastBackup) -> None:
        """Given what was remembered when a check began, remember `saved`; not if something else is remembered by now.

        A playbook uploads between its steps without the lock. What it saved is the newest archive then, and a check
        that compared with the one before must not make it forgotten.
        """
        with folder_locked(self.folder):
            if self.load() == before:
                write_durably(self._file, saved.to_json().encode())

    def store_newer(self, saved: LastBackup) -> None:
        """Remember, unless something newer under the same settings was saved meanwhile: that is what to compare with.

        Keys tell which is newer: they rise, also where the clock was set back; not where it was set back by days.
        """
        from ..system.timestamps import is_far_ahead  # most ticks store nothing

        with folder_locked(self.folder):
            newer = self.load()
            if (
                newer is None
                or newer.key <= saved.key
                or newer.archive_settings != saved.archive_settings
                or (is_far_ahead(newer.key) and not is_far_ahead(saved.key))
            ):
                write_durably(self._file, saved.to_json().encode())

    def forget(self) -> None:
        """Forget what was last saved: the next tick saves."""
        self._file.unlink(missing_ok=True)

    def load_tick(self) -> LastTick | None:
        """Return how the last tick ended, or None where that is not known."""
        try:
            return parse_tick((self.folder / _TICK).read_text(errors="replace"))
        except OSError:
            return None

    def store_tick(self, tick: LastTick) -> bool:
        """Remember how a tick ended. Every tick does, so it costs no wait for the disk; a full one is no new
        failure. Return whether the state folder is this user's; where it is not, nothing is remembered."""
        try:
            if self.folder.stat().st_uid != os.geteuid():
                return False  # refused as the wrong user: it leaves no file of that user's behind
        except OSError:
            return False
        with suppress(OSError):
            # In place: one that a power cut has damaged is one that is not known.
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(self.folder / _TICK, flags, 0o600), "w") as file:
                file.write(tick.to_json())
                file.truncate()
        return True

    def load_rehearsal(self) -> LastRehearsal | None:
        """Return the last rehearsal, or None where none is known."""
        from .last_rehearsal import parse_rehearsal  # an idle tick asks for none

        try:
            return parse_rehearsal((self.folder / _REHEARSAL).read_text(errors="replace"))
        except OSError:
            return None

    def store_rehearsal(self, rehearsal: LastRehearsal) -> None:
        """Remember what came of a rehearsal."""
        write_durably(self.folder / _REHEARSAL, rehearsal.to_json().encode())

    def load_pause(self) -> Pause | None:
        """Return the pause of the ticks, over or not; None where there is none. Every tick asks.

        One that cannot be understood does not count, and the log says so.
        """
        try:
            text = (self.folder / _PAUSE).read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            text = error.strerror or ""
        from .pause import parse_pause

        pause = parse_pause(text, time.time())
        if pause is None:
            log.warning("%s is damaged or of another time: nothing is paused by it", self.folder / _PAUSE)
            log.warning("HINT: checkniner-backups resume removes it; checkniner-backups pause writes it anew")
        return pause

    def store_pause(self, pause: Pause) -> None:
        """Pause the ticks that begin from now on."""
        with folder_locked(self.folder):
            write_durably(self.folder / _PAUSE, pause.to_json().encode())

    def forget_pause(self, pause: Pause | None) -> None:
        """Given the pause that was found, None for a damaged one, remove it; not if another is there by now."""
        with folder_locked(self.folder):
            if self.load_pause() == pause:
                (self.folder / _PAUSE).unlink(missing_ok=True)

    def _remove_work(self) -> None:
        """With the lock held, remove the work folder: nobody works in it, and what a killed run left is plaintext."""
        work = self.folder / "work"
        try:
            work.lstat()
        except OSError:
            return
        import shutil

        shutil.rmtree(work, ignore_errors=True)
        log.warning("removed %s, which a killed run had left", work)

    def sweep(self) -> None:
        """Remove half-written files that a killed run has left; a playbook may be writing some at this moment."""
        with folder_locked(self.folder):
            for path in self.folder.glob(f".{self._file.name}.*"):
                path.unlink(missing_ok=True)
        for path in self.folder.glob(".*"):
            if path.name.startswith(_TEMPORARY):
                sweep(self.folder, path.name)
        sweep(self.folder, "dataset", just_made=_DAY)  # a playbook's, between its steps: plaintext
        for path in (self.folder / "archives").glob("*.part"):
            with suppress(OSError), path.open("rb") as file:  # whoever writes one holds a lock on it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Yield an empty 0700 folder that is removed on any exit; what a killed run left is removed first.

        To be called with the lock held: nobody else's work is there then.
        """
        import shutil

        base = self.folder / "work"
        shutil.rmtree(base, ignore_errors=True)
        try:
            base.mkdir(mode=0o700)
        except OSError as error:
            raise DiskError(
                f"cannot make {base}: {error.strerror}", "look at the disk and at the folder's owner"
            ) from None
        try:
            yield base
        finally:
            shutil.rmtree(base, ignore_errors=True)


@contextmanager
def scratch_folder(base: Path) -> Iterator[Path]:
    """Given a folder of ours, yield a new 0700 folder in it that is removed on any exit but a kill."""
    import shutil
    import tempfile

    try:
        folder = Path(tempfile.mkdtemp(prefix=".scratch-", dir=base))
    except OSError as error:
        raise DiskError.at(base, error) from None
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
