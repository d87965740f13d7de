"""Readers of a snapshot, each in a thread, while the session that holds the locks checks who waits for them.

Nobody waits for these locks longer than a limit, whatever a reader does: hash rows, dump, or start Django. And nothing
hangs for ever: where no reader makes progress for an hour, all are stopped.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import BackupsError, DatabaseError, LockTimeoutError
from ..postgres.session import disconnect
from ..postgres.snapshot import LockWaitLimit, Snapshot, reader_of

if TYPE_CHECKING:
    from ..postgres.session import Connection

_POLL = 0.2
"""Seconds between two questions who waits for our locks."""
STALL = 3600.0
"""Seconds after which a dump in which nothing moves is given up. A long sort moves nothing, so it is not short."""
_CANCEL_PATIENCE = 5.0
"""Seconds for the server to take a request to cancel, and then for the readers to end."""


class Reader(ABC):
    """One reader. `moved` grows as long as it makes progress."""

    moved: int = 0

    @abstractmethod
    def read(self) -> None:
        """Do the work; it is called once, in a thread of its own."""

    @abstractmethod
    def stop(self) -> None:
        """Let `read` come to an end soon, from any thread, also before it began."""

    def cut(self) -> None:
        """Let `read` end where `stop` did not help, because the server does not answer."""
        self.stop()


class RowReader(Reader):
    """Work on rows, over a connection of its own with the snapshot and its own locks."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.stopped = threading.Event()
        self._connection: Connection | None = None

    def read(self) -> None:
        """Connect, and work."""
        with reader_of(self.snapshot, connected=self._connected) as connection:
            if not self.stopped.is_set():
                self.work(connection)

    def _connected(self, connection: Connection) -> None:
        self._connection = connection

    @abstractmethod
    def work(self, connection: Connection) -> None:
        """Read what is wanted; end early where `stopped` is set."""

    def stop(self) -> None:
        """Cancel the statement that runs."""
        self.stopped.set()
        if self._connection:
            self._connection.cancel_safe(timeout=_CANCEL_PATIENCE)

    def cut(self) -> None:
        """End the connection."""
        if self._connection:
            disconnect(self._connection)


def run_concurrently(readers: Sequence[Reader], limit: LockWaitLimit) -> None:
    """Given readers, run all of them at once; when one fails, or somebody has waited too long, stop the others.

    :raises LockTimeoutError: a lock was not to be had, somebody waited too long, or a standby has ended the snapshot:
        try again from a new snapshot
    :raises BackupsError: what a reader raised; of several, the lock's time-out, which is the cause of the others
    """
    with ThreadPoolExecutor(len(readers) + 1, "reader") as pool:
        futures = [pool.submit(reader.read) for reader in readers]
        questions = _Questions(pool, limit)
        try:
            _watch(readers, futures, questions)
        except BaseException as error:
            for reader in readers:
                with suppress(Exception):  # one that cannot be stopped must not keep the others running
                    reader.stop()
            if wait([*futures, questions.last], timeout=_CANCEL_PATIENCE).not_done:
                for reader in readers:
                    reader.cut()
                disconnect(limit.connection)
            if isinstance(error, BackupsError):
                limit.check_held(error.message)
            raise


class _Questions:
    """Asks who waits for our locks, in a thread of its own: a server that is frozen answers nobody."""

    def __init__(self, pool: ThreadPoolExecutor, limit: LockWaitLimit) -> None:
        self._pool = pool
        self._limit = limit
        self.last = pool.submit(limit.check)

    def ask(self) -> None:
        """Ask again, if the last question was answered.

        :raises LockTimeoutError: the answer was that somebody has waited too long
        """
        if self.last.done():
            self.last.result()
            self.last = self._pool.submit(self._limit.check)


def _watch(readers: Sequence[Reader], futures: Sequence[Future[None]], questions: _Questions) -> None:
    pending = set(futures)
    moved, since = -1, 0.0
    while pending:
        done, pending = wait(pending, timeout=_POLL, return_when=FIRST_EXCEPTION)
        failures = [error for each in done if (error := each.exception())]
        if failures:
            # Of several, the lock's time-out is the cause: it can be tried again.
            raise next((each for each in failures if isinstance(each, LockTimeoutError)), failures[0])
        now, total = time.monotonic(), sum(reader.moved for reader in readers)
        if total != moved:
            moved, since = total, now
        elif pending and now - since > STALL:
            raise DatabaseError(
                f"nothing moved for {STALL:.0f} s: the backup was stopped",
                "look at the server's load, and whether it answers at all",
            )
        questions.ask()
