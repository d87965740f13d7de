"""What everybody on a machine can see of others: command lines; and what root sees of the application's environment."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


def command_line(process: Path) -> str:
    """Given a process's folder below `/proc`, return its command line."""
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def command_lines(text: str = "") -> list[str]:
    """Return the command lines of all processes, or of those with that text in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append(command_line(process))
    return [line for line in found if text in line]


class Spy:
    """While it is entered, it reads the command lines of all processes, again and again, and keeps each.

    :param folder: environments of processes whose command line names it are kept too
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.lines: set[str] = set()
        self.environments: dict[str, set[str]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Spy:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.look()

    def look(self) -> None:
        """Look at every process once."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    self._keep(entry)

    def _keep(self, entry: Path) -> None:
        line = command_line(entry)
        if not line:
            return
        self.lines.add(line)
        if self.folder in line:
            words = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            self.environments.setdefault(line, set()).update(words)
