"""No process and no folder of the sandbox outlives the program that made it, however that program ends.

One small watcher per program (this very file, run as a script) waits for the other end of a pipe to close: that
happens at a normal end, at an interrupt and at SIGKILL alike. Then it kills every process that works in, or names, one
of the guarded folders, and removes the folders. PR_SET_PDEATHSIG would not do: it is cleared when a process changes
its user, as PostgreSQL must below root, and it knows nothing of folders.

Only the standard library: the watcher runs isolated from every virtualenv.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# PostgreSQL's and gpg-agent's socket paths may have some 100 characters; what stands behind the folder needs its share.
LONGEST = 48
LOOK_EVERY = 1.0  # seconds between looks at whether the program is still the watcher's parent

_watchers: dict[int, subprocess.Popen[bytes]] = {}


def make_folder(prefix: str, user_id: int | None = None, group_id: int | None = None, mode: int = 0o700) -> Path:
    """Given a short prefix, return a new folder with a short path that is removed when this program ends.

    :param user_id: who owns the folder, if not ourselves; everything above it can then be passed by that user
    :param mode: access rights of the folder
    :raises RuntimeError: no temporary folder has a path that is short enough and open to that user
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=_temporary_folder()))
    _tell(f"guard {folder}")
    if user_id is not None:
        os.chown(folder, user_id, -1 if group_id is None else group_id)
    folder.chmod(mode)
    return folder


def remove_folder(folder: Path) -> None:
    """Given a folder of `make_folder`, end what still runs in it and remove it. One that is gone is no error."""
    sweep(folder)
    _tell(f"forget {folder}")


def watchers() -> list[int]:
    """Return the ids of this program's watchers: they end when it does, and must not end before."""
    return [watcher.pid for watcher in _watchers.values()]


def processes_of(folder: Path) -> list[int]:
    """Given a folder, return the ids of the processes that work in it or name it on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if os.fsencode(folder) in words or (entry / "cwd").readlink().is_relative_to(folder):
                found.append(int(entry.name))
    ours = _ancestors()
    return [process for process in found if process not in ours]


def kill_processes_of(folder: Path, patience: float = 10.0) -> None:
    """Given a folder, kill the processes of `processes_of` and wait until they are gone, at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while processes := processes_of(folder):
        for process in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)


def sweep(folder: Path) -> None:
    """Given a folder, kill what works in it and remove it with everything inside."""
    kill_processes_of(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    for candidate in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        open_to_all = all(part.stat().st_mode & 0o001 for part in (candidate, *candidate.parents))
        if len(str(candidate)) <= LONGEST - 20 and (open_to_all or os.geteuid() != 0):
            return candidate
    raise RuntimeError(f"no temporary folder with a path of at most {LONGEST - 20} characters: unset TMPDIR")


def _ancestors() -> set[int]:
    """A shell that was started with a guarded path among its words waits for us: it is not ours to kill."""
    found, process = set(), os.getpid()
    while process > 1:
        found.add(process)
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])
    return found


def _tell(line: str) -> None:
    watcher = _watchers.get(os.getpid())
    if watcher is None:
        watcher = subprocess.Popen(  # its own session: an interrupt at the terminal does not reach it
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        _watchers[os.getpid()] = watcher
        atexit.register(_dismiss, os.getpid())
    assert watcher.stdin is not None
    watcher.stdin.write(os.fsencode(line) + b"\n")
    watcher.stdin.flush()


def _dismiss(owner: int) -> None:
    if owner == os.getpid() and (watcher := _watchers.pop(owner, None)):
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait()


def _watch() -> None:
    """Wait until the parent is gone or says so by closing the pipe, then sweep."""
    parent = os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folders: dict[str, None] = {}
    rest = b""
    while os.getppid() == parent:
        # The look at the parent is for the case that a forked child of it still holds the pipe.
        if not select.select([0], [], [], LOOK_EVERY)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            word, _, folder = os.fsdecode(line).partition(" ")
            if word == "guard":
                folders[folder] = None
            else:
                folders.pop(folder, None)
    for folder in folders:
        sweep(Path(folder))


if __name__ == "__main__":
    _watch()
