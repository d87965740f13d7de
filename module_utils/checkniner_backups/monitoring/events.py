"""The URLs of one run's events, and what they are told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from ..errors import BackupsError, WatchdogError
from .ping import LIMIT, ping
from .templates import check_template, render

START, SUCCESS, FAILURE = "start", "success", "failure"
TICK, CLEAN, REHEARSAL, DRILL, PRUNE = "", "clean", "rehearsal", "drill", "prune"
_START_LIMIT = 10.0
"""Seconds that the ping of the start may delay a backup."""


def as_said(text: str) -> str:
    """Return the text as it is: for messages that hold no secret."""
    return text


class EventPings:
    """Pings the URLs of one run, all within `LIMIT` seconds."""

    def __init__(self, job: str, templates: Mapping[str, str], redact: Callable[[str], str] = as_said) -> None:
        """
        :param job: TICK, CLEAN, REHEARSAL, DRILL or PRUNE
        :param templates: by the name of the event, after the job and an underscore but for a tick
        :param redact: hides the secrets in a message
        """
        self._prefix = f"{job}_" if job else ""
        self._templates = templates
        self._redact = redact
        self._left = LIMIT
        self._began = time.monotonic()
        self._id = new_id()

    def check(self) -> None:
        """Return if each template of the run can be used.

        :raises SettingsError: one cannot; the message names its variable
        """
        for name, template in self._templates.items():
            if template:
                check_template(variable(name), template)

    def send(self, event: str, status: int, message: str, body: bytes | None = None) -> WatchdogError | None:
        """Given an event, tell its URL, if there is one. Return why it could not be told.

        :param status: the exit status of the run
        :param message: one sentence
        :param body: what is sent along, by POST
        """
        name = self._prefix + event
        template = self._templates.get(name, "")
        if not template:
            return None
        started = time.monotonic()
        values = {
            "status": event, "exit": str(status), "rid": self._id, "message": self._redact(message),
            "ms": str(round((started - self._began) * 1000)),
        }  # fmt: skip
        limit = min(self._left, _START_LIMIT) if event == START else self._left
        try:
            check_template(variable(name), template)
            ping(render(template, values), limit, body)
        except WatchdogError as error:
            return error
        except BackupsError as error:
            return WatchdogError(error.message, error.hint)
        finally:
            self._left = max(0.0, self._left - (time.monotonic() - started))
        return None


def variable(name: str) -> str:
    """Given an event's name with its job, return the name of the role's variable."""
    return f"checkniner_backups_ping_{name}_url"


def new_id() -> str:
    """Return a new random UUID as text. Importing `uuid` would cost an idle tick more."""
    digits = bytearray(os.urandom(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
