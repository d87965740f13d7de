"""The throwaway S3 server itself: where it listens, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from sandbox.object_store import ObjectStore

pytestmark = pytest.mark.late("a server is started and stopped")

ROOT = Path(__file__).resolve().parents[3]


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def listening(pid: int) -> list[str]:
    """The addresses that a process listens on, as /proc has them (hex)."""
    folder = Path(f"/proc/{pid}/fd")
    sockets = {str(each.readlink()) for each in folder.iterdir() if each.is_symlink()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.append(words[1].partition(":")[0])
    return found


def content(server: ObjectStore) -> bytes:
    """Read the object; nothing while the volumes of the last run are still being found."""
    try:
        return bytes(server.client().get_object(Bucket="kept", Key="db/x")["Body"].read())
    except ClientError:
        return b""


def test_it_listens_on_the_loopback_interface_alone(s3_server: ObjectStore) -> None:
    addresses = listening(s3_server.pid)
    assert len(addresses) >= 2
    assert set(addresses) == {"0100007F"}


def test_no_key_is_in_its_arguments(s3_server: ObjectStore) -> None:
    arguments = Path(f"/proc/{s3_server.pid}/cmdline").read_bytes().decode()
    for who in s3_server.identities.values():
        assert who.secret_key not in arguments
        assert who.access_key not in arguments


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    server = ObjectStore(tmp_path / "s3")
    with server:
        server.create_bucket("kept")
        server.client().put_object(Bucket="kept", Key="db/x", Body=b"content")
        url, pid = server.endpoint_url, server.pid
    assert not Path(f"/proc/{pid}").exists()
    with server:
        assert server.endpoint_url == url
        until(lambda: content(server) == b"content")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_dies_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "s3"
    command = [sys.executable, "-m", "sandbox.serve_s3", str(folder), "--bucket", "first"]
    parent = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        until((folder / "endpoint.json").exists)
        assert json.loads((folder / "endpoint.json").read_text())["endpoint_url"].startswith("http://127.0.0.1:")
        assert (folder / "endpoint.json").stat().st_mode & 0o077 == 0
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 1
        child = Path(f"/proc/{children[0]}/cmdline")
        ports = re.findall(r"port(?:\.grpc)?=([0-9]+)", child.read_text())
    finally:
        parent.send_signal(number)
        parent.wait(20)
    until(lambda: not child.exists() or not child.read_bytes())
    sockets = [each for port in ports for each in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]
    assert number == signal.SIGKILL or not sockets
    for each in sockets:  # nobody was left to remove them
        each.unlink()


CLOSED = not all(folder.stat().st_mode & 0o001 for folder in Path(sys.executable).absolute().parents)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(CLOSED, reason="the checkout, with the virtualenv in it, is closed to ordinary users")
def test_an_ordinary_user_can_start_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    os.chown(folder, 65534, 65534)
    try:
        code = (
            "from pathlib import Path; from sandbox.object_store import ObjectStore\n"
            f"with ObjectStore(Path({str(folder / 's3')!r})) as s3: print(s3.create_bucket('some-bucket'))"
        )
        drop = "import os; import boto3, sandbox.object_store; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        result = subprocess.run(
            [sys.executable, "-c", drop + code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert result.stdout.strip() == "some-bucket", result.stderr
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
