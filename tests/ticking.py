"""A tick as cron starts it, and what it leaves in the store and in the state folder."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

from sandbox.owner import SYSTEM_PATH
from sandbox.server import Server
from tests.plugins.application import RunningApplication
from tests.plugins.keys import Keys


def start(server: Server, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    owner = server.application.owner
    return subprocess.Popen(
        [server.command, "--environment", server.environment_file, *arguments],
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": "/"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        umask=0o077,
        **owner.options(),
    )


def opened(server: Server, keys: Keys, key: str) -> dict[str, bytes]:
    """Given a key, return the members of that archive, opened as an operator would."""
    body = server.store.client().get_object(Bucket=server.bucket, Key=key)["Body"].read()
    plain = keys.keyring.gpg("--decrypt", data=body)
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz", ignore_zeros=False) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def truth(application: RunningApplication) -> list[str]:
    """Return the airstrips that there are."""
    return [row[0] for row in application.database.execute("SELECT ident FROM checkouts_airstrip ORDER BY ident")]


def newest_key(server: Server) -> str:
    """Return the newest archive's key; safety backups are none of them."""
    return max(filter(lambda key: key.startswith("db/2"), server.keys()))


def newest(server: Server, keys: Keys, application: RunningApplication) -> list[str]:
    """Return the airstrips of the newest archive, which SQL and fixtures must agree on."""
    members = opened(server, keys, newest_key(server))
    objects = json.loads(members["checkouts.json"])
    idents = sorted(each["fields"]["ident"] for each in objects if each["model"] == "checkouts.airstrip")
    sql = next(data for name, data in members.items() if name.endswith(".sql")).decode()
    block = sql.partition("COPY public.checkouts_airstrip (")[2].partition("\n")[2].partition("\\.\n")[0]
    assert sorted(line.split("\t")[1] for line in block.splitlines()) == idents
    return idents


def leftovers(server: Server) -> list[str]:
    """Return what should not be in the state folder after a run."""
    expected = {"archives", "gnupg", "lock", "state.json", "pending", "last_tick.json", "history"}
    expected |= {"signing_key", "signing_key.pub"}
    found = [path.name for path in server.state_path.iterdir() if path.name not in expected]
    archives = server.state_path / "archives"
    if archives.is_dir():
        found += [path.name for path in archives.iterdir() if not path.name.endswith((".tar.gz", ".tar.gz.gpg"))]
    return found
