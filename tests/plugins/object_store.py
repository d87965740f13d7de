"""Fixtures around a real S3 server, one for the whole test session."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.policy import operator_policy, policy, prune_policy
from checkniner_backups.storage.upload import PART_SIZE

from sandbox.object_store import SERVER_POLICY, ObjectStore

_numbers = itertools.count(1)
POLICY_BUCKET = "policy.example"
Make = Callable[..., StoreSettings]
KEY = "db/2026-11-22T19:35:00.tar.gz.gpg"
BIG = 2 * PART_SIZE + 12345


def a_file(folder: Path, size: int = 1000, name: str = "archive") -> tuple[Path, str]:
    """Given a folder, write a file of random bytes to it; return its path and its digest."""
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A SeaweedFS on the loopback interface. Besides `operator` and `server` it knows `policy`, `reader` and
    `pruner`, who have our policies for servers, operators and prunes, `nobody`, who has the first of these for
    another bucket; and of before there was a history `without-history`, a server, and `old-pruner`."""
    pruner = prune_policy(POLICY_BUCKET, "db/")
    policies = {
        "policy": policy(POLICY_BUCKET, "db/"),
        "reader": operator_policy(POLICY_BUCKET, "db/"),
        "pruner": pruner,
        "old-pruner": {**pruner, "Statement": [each for each in pruner["Statement"] if "-history" not in str(each)]},
        "nobody": policy("another-bucket", "db/"),
        "without-history": json.loads(json.dumps(SERVER_POLICY).replace(":::*/*", ":::*/db/*")),
    }
    with ObjectStore(tmp_path_factory.mktemp("s3"), policies=policies) as server:
        server.create_bucket(POLICY_BUCKET)
        yield server


@pytest.fixture
def s3_settings(s3_server: ObjectStore) -> Make:
    """A function: given an identity's name, settings for a bucket of its own (or the one named), and what to change."""
    own = f"bucket-{next(_numbers)}"

    def make(identity: str = "operator", **changes: Any) -> StoreSettings:
        bucket = changes.pop("bucket", own)
        if bucket == own and own not in {each["Name"] for each in s3_server.client().list_buckets()["Buckets"]}:
            s3_server.create_bucket(own)
        who = s3_server.identities[identity]
        return StoreSettings(
            **{
                "bucket": bucket,
                "access_key": who.access_key,
                "secret_key": who.secret_key,
                "endpoint_url": s3_server.endpoint_url,
                **changes,
            }
        )

    return make
