"""The operator of the server that a test has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import guard
from sandbox.control import Control
from sandbox.server import Server

from .application import RunningApplication
from .keys import Keys


@pytest.fixture
def control(server: Server, application: RunningApplication, keys: Keys) -> Iterator[Control]:
    """An inventory for the server of this test: same application, bucket and keys."""
    folder = guard.make_folder("cn-ctl")
    made = Control(
        folder,
        application.installed,
        server.store,
        server.bucket,
        keys.keyring,
        keys.plain,
        application.database.cluster.admin_url(),
    )
    made.know((server.state_path / "signing_key.pub").read_text())
    yield made
    guard.remove_folder(folder)
