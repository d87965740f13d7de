"""Plain HTTP with nothing but Python: for watchdogs and for presigned URLs, both of which are secrets as a whole.

No message ever shows more of a URL than scheme and host.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ..errors import NotFoundError, StoreError
from .files import whole_file

CHUNK = 1 << 20
_ATTEMPTS = 3


def host_of(url: str) -> str:
    """Given a URL, return what may be shown of it: scheme and host. Empty when it is no http or https URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}" if parts.scheme in ("http", "https") and host else ""


def opener(ca_bundle: str = "") -> urllib.request.OpenerDirector:
    """Given a CA bundle's path (empty: the system's), return an opener for http and https, nothing else."""
    director = urllib.request.OpenerDirector()
    context = ssl.create_default_context(cafile=ca_bundle or None)
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(), urllib.request.UnknownHandler(),
    ):  # fmt: skip
        director.add_handler(handler)
    return director


def why(error: BaseException) -> str:
    """Given an error of urllib, return a short reason that holds no part of the URL."""
    if isinstance(error, urllib.error.HTTPError):
        return f"answer {error.code}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, ssl.SSLError):
        return "the TLS connection failed"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__


def fetch_url(
    url: str,
    path: Path,
    *,
    limit: int | None = None,
    ca_bundle: str = "",
    timeout: float = 30.0,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Given a presigned URL, download it to the path (0600, whole or not at all) and return the size in bytes.

    The caller checks size and digest: only it knows what they should be.

    :param limit: bytes; what is larger is not fetched to its end, for it could fill the disk
    :param timeout: seconds that the other side may be silent
    :param progress: is called with the number of bytes of each piece
    :raises NotFoundError: there is no such object
    :raises StoreError: no connection, refused (an expired URL), larger than the limit, or cut short three times
    :raises DiskError: the local disk
    """
    with whole_file(path) as file:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _fetch(url, file, limit=limit, ca_bundle=ca_bundle, timeout=timeout, progress=progress)
            except StoreError:
                if attempt == _ATTEMPTS:
                    raise
                file.seek(0)
                file.truncate()
    raise AssertionError("the last attempt returns or raises")


def _fetch(
    url: str,
    file: BinaryIO,
    *,
    limit: int | None,
    ca_bundle: str,
    timeout: float,
    progress: Callable[[int], None] | None,
) -> int:
    host = host_of(url)
    if not host:
        raise StoreError("cannot fetch the archive: the address given is no http or https URL")
    try:
        response: Any = opener(ca_bundle).open(url, timeout=timeout)  # the opener knows http and https only
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise NotFoundError(f"no such archive at {host}") from None
        hint = "the address may have expired (check the clocks), or the store may refuse it: make a new one"
        raise StoreError(f"cannot fetch the archive from {host}: {why(error)}", hint) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        hint = "this machine needs a network connection to the store"
        raise StoreError(f"cannot fetch the archive from {host}: {why(error)}", hint) from None
    size = 0
    with response:
        while True:
            try:
                piece = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise StoreError(f"the archive from {host} was cut short: {why(error)}", "try again") from None
            if not piece:
                break
            size += len(piece)
            if limit is not None and size > limit:
                raise StoreError(
                    f"the archive from {host} is larger than {limit:,} bytes", "it was replaced: try again"
                )
            file.write(piece)
            if progress:
                progress(len(piece))
    length = response.headers.get("Content-Length")
    if length is not None and int(length) != size:  # read(n) does not complain of a short answer
        raise StoreError(f"the archive from {host} was cut short: {size} of {length} bytes", "try again")
    return size
