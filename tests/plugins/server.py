"""A server with everything that a tick needs, for each test anew."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sandbox.object_store import ObjectStore
from sandbox.server import Server

from .application import RunningApplication
from .keys import Keys

_numbers = itertools.count(1)


@pytest.fixture
def server(application: RunningApplication, engine: Path, s3_server: ObjectStore, keys: Keys) -> Server:
    """The example application, the engine installed beside it, a bucket of its own, and the operator's public key."""
    bucket = f"server-{next(_numbers)}"
    s3_server.create_bucket(bucket)
    made = Server(application.installed, engine, s3_server, bucket, application.state_path)
    made.set_up(keys.plain, keys.keyring.export_public(keys.plain))
    return made
