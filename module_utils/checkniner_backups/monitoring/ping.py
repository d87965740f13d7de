"""One request to a URL that is told of a run: bounded in time, tried again, and never shown but for its host."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus

from ..errors import WatchdogError
from ..system.http import host_of, opener, why

LIMIT = 30.0
"""Seconds that all pings of one run may take together."""
ATTEMPTS = 3
PAUSE = 1.0
"""Seconds before the second attempt; twice as many before the third."""
_SHARE = 10.0
"""Seconds that one attempt may take, where there is time for others."""
_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_HINT = "what was backed up is not affected; check the watchdog's address and the network"


def ping(url: str, timeout: float = LIMIT, body: bytes | None = None, *, pause: float = PAUSE) -> None:
    """Given a watchdog's URL, GET it, or POST the body. All attempts together get `timeout` seconds, name
    look-ups and redirects included.

    The URL is a secret as a whole: who knows the URL can keep the alarm silent. Messages show its host alone.

    :param pause: seconds between the first attempt and the second
    :raises WatchdogError: no http or https URL, no connection, no answer in time, or an answer that is no success
    """
    host = host_of(url)
    if not host:
        raise WatchdogError("the watchdog's address is no http or https URL", "check the watchdog's address")
    until = time.monotonic() + timeout
    for attempt in range(1, ATTEMPTS + 1):
        left = until - time.monotonic()
        outcome = _attempt(url, body, left if attempt == ATTEMPTS else min(left, _SHARE, timeout / 2))
        wait = pause * attempt
        if not _worth_another(outcome) or attempt == ATTEMPTS or until - time.monotonic() <= wait:
            break
        time.sleep(wait)
    if outcome is None:
        raise WatchdogError(f"the watchdog at {host} did not answer within {timeout:g} s", _HINT)
    if isinstance(outcome, BaseException):
        raise WatchdogError(f"the watchdog at {host} was not reached: {why(outcome)}", _HINT)
    if not _is_success(outcome):
        raise WatchdogError(f"the watchdog at {host} answered {outcome}", _HINT)


def _attempt(url: str, body: bytes | None, timeout: float) -> BaseException | int | None:
    """Return the status of the answer, what went wrong, or None where nothing came within `timeout` seconds."""
    outcome: list[BaseException | int] = []

    def send() -> None:
        try:
            headers = {"User-Agent": "checkniner-backups", **(_TEXT if body is not None else {})}
            request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 (host_of knows http and https)
            with opener().open(request, timeout=timeout) as response:
                outcome.append(response.status)
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome.append(error)

    # Socket time-outs bound each step only, and a name look-up not at all. A daemon thread does not keep us alive.
    thread = threading.Thread(target=send, name="watchdog", daemon=True)
    thread.start()
    thread.join(timeout)
    return outcome[0] if outcome else None


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _worth_another(outcome: BaseException | int | None) -> bool:
    """Return whether another attempt may end better: not where the service has taken or refused what it was asked."""
    status = outcome.code if isinstance(outcome, urllib.error.HTTPError) else outcome
    if isinstance(status, int):
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN
    return not isinstance(outcome, ValueError)
