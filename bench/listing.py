"""How many LIST requests it takes to find the newest of very many archives."""

from __future__ import annotations

import http.client
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.catalog import newest
from checkniner_backups.storage.s3 import Store

from .site import Machine

log = logging.getLogger(__name__)

BUCKET = "many-archives"
AGE = timedelta(days=400)
EVERY = timedelta(minutes=5)
_LIMIT = 180.0
"""Seconds that writing the keys may take; then there are fewer."""
_THREADS = 8


def measure(machine: Machine, wanted: int) -> dict[str, object]:
    """Given how many archives to list, write that many tiny objects, one for every five minutes up to 400 days ago,
    find the newest and return the requests that it took, as the client sent them."""
    machine.store.create_bucket(BUCKET)
    last = datetime.now(timezone.utc).replace(microsecond=0) - AGE
    # Newest first: if time runs out, it is the old ones that are missing.
    keys = [f"db/{last - number * EVERY:%Y-%m-%dT%H:%M:%S}.tar.gz.gpg" for number in range(wanted)]
    started = time.monotonic()
    with ThreadPoolExecutor(_THREADS) as pool:
        counts = pool.map(lambda first: _put(machine, keys[first::_THREADS], started + _LIMIT), range(_THREADS))
        written = sum(counts)
    log.info("wrote %d keys in %.0f s", written, time.monotonic() - started)
    identity = machine.store.identities["server"]
    settings = StoreSettings(
        bucket=BUCKET, prefix="db/", endpoint_url=machine.store.endpoint_url,
        access_key=identity.access_key, secret_key=identity.secret_key,
    )  # fmt: skip
    store = Store(settings)
    started = time.monotonic()
    found = newest(store)
    seconds = time.monotonic() - started
    if found is None or found.key != keys[0]:
        raise AssertionError(f"found {found}, the newest is {keys[0]}")
    requests = dict(store.requests)
    log.info("found the newest of %d archives by %s in %.2f s", written, requests, seconds)
    return {"archives": written, "wanted": wanted, "newest_days_old": AGE.days, "requests": requests,
            "seconds": seconds}  # fmt: skip


def _put(machine: Machine, keys: list[str], deadline: float) -> int:
    """Put one byte under each key, signed by botocore but sent by hand: boto3's own way takes three times as long."""
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    identity = machine.store.identities["operator"]
    signer = S3SigV4Auth(Credentials(identity.access_key, identity.secret_key), "s3", "us-east-1")
    connection = http.client.HTTPConnection(machine.store.address, machine.store.port, timeout=30)
    for number, key in enumerate(keys):
        if time.monotonic() > deadline:
            return number
        path = f"/{BUCKET}/{quote(key)}"
        request: Any = AWSRequest("PUT", machine.store.endpoint_url + path, data=b"x")
        signer.add_auth(request)
        connection.request("PUT", path, b"x", dict(request.headers.items()))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise AssertionError(f"PUT {key}: {answer.status}")
    return len(keys)
