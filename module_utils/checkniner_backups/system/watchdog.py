"""A watchdog is told of each success; its silence alarm is what notices that backups have stopped."""

from __future__ import annotations

import http.client
import threading
from http import HTTPStatus

from ..errors import WatchdogError
from .http import host_of, opener, why


def ping(url: str, timeout: float = 30.0) -> None:
    """Given a watchdog's URL, GET it. All of it, name look-up and redirects included, gets `timeout` seconds.

    The URL is a secret as a whole: who knows it can keep the alarm silent. Messages show its host alone.

    :raises WatchdogError: no http or https URL, no connection, no answer in time, or an answer that is no success
    """
    host = host_of(url)
    if not host:
        raise WatchdogError("the watchdog's address is no http or https URL", "check the watchdog's address")
    outcome: list[BaseException | int] = []

    def get() -> None:
        try:
            with opener().open(url, timeout=timeout) as response:
                outcome.append(response.status)
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome.append(error)

    # Socket time-outs bound each step only, and a name look-up not at all. A daemon thread does not keep us alive.
    thread = threading.Thread(target=get, name="watchdog", daemon=True)
    thread.start()
    thread.join(timeout)
    hint = "the backup itself is not affected; check the watchdog's address and the network"
    if not outcome:
        raise WatchdogError(f"the watchdog at {host} did not answer within {timeout:g} s", hint)
    answer = outcome[0]
    if isinstance(answer, BaseException):
        raise WatchdogError(f"the watchdog at {host} was not reached: {why(answer)}", hint)
    if not HTTPStatus.OK <= answer < HTTPStatus.MULTIPLE_CHOICES:
        raise WatchdogError(f"the watchdog at {host} answered {answer}", hint)
