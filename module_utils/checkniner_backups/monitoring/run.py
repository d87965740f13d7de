"""One run that others are told about: when it begins, how it ends, and where that is new."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BackupsError, BusyError, WatchdogError
from ..settings import Settings
from .events import FAILURE, START, SUCCESS, TICK, EventPings
from .log_tail import BYTES, LogTail
from .redaction import Redaction

log = logging.getLogger(__name__)


class WatchedRun:
    """Tells of one run. Never the cause of a failed backup: what cannot be told is logged or returned."""

    def __init__(self, settings: Settings, job: str = TICK) -> None:
        """
        :param job: TICK, CLEAN or REHEARSAL
        """
        self._redact = Redaction.of(settings)
        self._pings = EventPings(job, settings.pings, self._redact)
        self._tail = LogTail() if settings.ping_log else None
        if self._tail:
            logging.getLogger().addHandler(self._tail)

    def begin(self) -> None:
        """Tell that the run has begun: it holds the lock, and will end."""
        if error := self._pings.send(START, 0, ""):
            log.warning("the start of this run could not be told: %s", error.message)

    def end(self, status: int, message: str, hint: str = "") -> WatchdogError | None:
        """Given the exit status and one sentence, tell how the run has ended; return why that could not be told.

        :param message: what failed, or what was done; secrets are hidden in it
        :param hint: what to do about it; only the body holds it
        """
        body = None
        if self._tail:
            logging.getLogger().removeHandler(self._tail)
            body = self._body(self._tail, status, message, hint)
        return self._pings.send(FAILURE if status else SUCCESS, status, message, body)

    def fail(self, status: int, message: str, hint: str = "") -> None:
        """As `end`, for what has failed anyway: what cannot be told is logged."""
        if error := self.end(status, message, hint):
            log.warning("the failure could not be told: %s", error.message)

    def _body(self, tail: LogTail, status: int, message: str, hint: str) -> bytes:
        ending = f"exit status {status}: {message}\n" + (f"HINT: {hint}\n" if hint else "")
        return last_bytes(self._redact(tail.text() + ending))


@contextmanager
def told(settings: Settings, job: str) -> Iterator[list[tuple[int, str]]]:
    """Tell how the work inside ends: by the exit status and the sentence that it puts into the list, or by its error.

    Nothing is told where the list stays empty, and where another run is at work.

    :raises WatchdogError: a success could not be told
    """
    watched, endings = WatchedRun(settings, job), list[tuple[int, str]]()
    try:
        yield endings
    except BusyError:
        raise
    except BackupsError as error:
        watched.fail(error.exit_status, error.message, error.hint)
        raise
    except KeyboardInterrupt as error:
        watched.fail(128 + getattr(error, "number", 0), "it was stopped by a signal")
        raise
    except Exception as error:
        watched.fail(1, f"a fault of ours: {type(error).__name__}: {error}")
        raise
    for status, message in endings:
        if status:
            watched.fail(status, message)
        elif unheard := watched.end(status, message):
            raise unheard


def last_bytes(text: str, limit: int = BYTES) -> bytes:
    """Given a text, return its end as UTF-8 of at most so many bytes, without half a character at its beginning."""
    return text.encode(errors="replace")[-limit:].decode(errors="ignore").encode()
