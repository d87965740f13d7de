"""The store answers each kind of request in each wrong way, while a tick saves and while an archive is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.object_store import ObjectStore
from tests.plugins.faulty import Faulty
from tests.ticking import newest_key

from .store_proxy import STATUSES, StoreProxy, Wrong

BROKEN = ("refused", "cut in the request", "the answer is lost", "cut in the answer", "late")
ODD = ("nonsense", "an empty answer", "success without doing it", "flipped in the request", "flipped in the answer")
FAULTS = (*BROKEN, *STATUSES, *ODD)
_NO_BODY = ("cut in the request", "flipped in the request", "flipped in the answer", "cut in the answer")
TICKS = [
    (fault, operation)
    for operation in ("ListObjects", "HeadObject", "PutObject")
    for fault in (*FAULTS, "another size")
    if not (operation == "HeadObject" and fault in _NO_BODY)
    and not (operation == "ListObjects" and fault in ("cut in the request", "flipped in the request"))
    and not (operation != "HeadObject" and fault == "another size")
]
ONCE = [(fault, operation) for fault, operation in TICKS if fault in (*BROKEN, "500", "503")]
FETCHES = [
    (fault, operation)
    for operation in ("ListObjects", "HeadObject", "GetObject")
    for fault in ("refused", "cut in the answer", "nonsense", "an empty answer", "flipped in the answer", *STATUSES)
    if not (operation == "HeadObject" and fault in _NO_BODY)
]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def proxy(s3_server: ObjectStore) -> Iterator[StoreProxy]:
    made = StoreProxy(s3_server.port)
    yield made
    made.shutdown()


@pytest.fixture
def behind(faulty: Faulty, proxy: StoreProxy) -> Iterator[StoreProxy]:
    """The proxy, between the server and its store; at the end it is out of the way."""
    # Each tick looks into the store: LIST and HEAD are there too.
    faulty.server.write_environment(
        CHECKNINER_BACKUPS_S3_ENDPOINT_URL=proxy.url, CHECKNINER_BACKUPS_STORE_CHECK_EVERY="0"
    )
    proxy.wrong = Wrong()
    faulty.server.tick()
    yield proxy
    proxy.wrong = Wrong()


@pytest.mark.pair(2, fault="fault", place="operation")
@pytest.mark.parametrize(("fault", "operation"), TICKS)
def test_a_tick_ends_with_status_7_or_has_saved(faulty: Faulty, behind: StoreProxy, fault: str, operation: str) -> None:
    faulty.change()
    behind.wrong = wrong = Wrong(fault, operation)
    done = faulty.run({}, "run")
    behind.wrong = Wrong()
    assert operation in wrong.seen, "the fault was not met"
    faulty.check(done, 7, 0)


@pytest.mark.pair(2, fault="fault", place="operation", suffix=", once")
@pytest.mark.parametrize(("fault", "operation"), ONCE)
def test_what_goes_wrong_once_is_tried_again(faulty: Faulty, behind: StoreProxy, fault: str, operation: str) -> None:
    faulty.change()
    behind.wrong = Wrong(fault, operation, once=True)
    done = faulty.run({}, "run")
    faulty.check(done, 0)


@pytest.mark.pair(9, fault="fault", place="operation")
@pytest.mark.parametrize(("fault", "operation"), FETCHES)
def test_a_fetched_archive_is_whole_or_is_none(
    faulty: Faulty, behind: StoreProxy, tmp_path: Path, fault: str, operation: str
) -> None:
    server = faulty.server
    operator = server.store.identities["operator"]
    folder = faulty.folder / "fetched"
    folder.mkdir(exist_ok=True)
    faulty.application.owner.own(folder)
    for each in folder.iterdir():
        each.unlink()
    mine = dict(server.environment)
    try:
        server.write_environment(S3_ACCESS_KEY=operator.access_key, S3_SECRET_KEY=operator.secret_key)
        behind.wrong = Wrong(fault, operation)
        done = faulty.run({}, "fetch", "--to", folder)
    finally:
        behind.wrong = Wrong()
        server.environment = mine
        server.write_environment()
    assert done.returncode in (0, 7, 8), done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    found = list(folder.iterdir())
    if done.returncode:
        assert not found
    else:
        key = newest_key(server)
        body = server.store.client().get_object(Bucket=server.bucket, Key=key)["Body"].read()
        assert [(path.name, path.read_bytes()) for path in found] == [(Path(key).name, body)]
