"""The history of a server's ticks, in a real store: told with each archive, and never in their way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.archive.origin import Trust
from checkniner_backups.errors import EncryptionError, NotFoundError
from checkniner_backups.history.timeline import Archives
from checkniner_backups.settings import StoreSettings
from checkniner_backups.storage.s3 import Store

from sandbox.server import Server
from tests.plugins.application import ROWS, RunningApplication
from tests.plugins.keys import Keys

TABLE = "public.checkouts_checkout"


class Reader:
    """The operator, who reads the history of a server."""

    def __init__(self, server: Server, keys: Keys) -> None:
        who = server.store.identities["operator"]
        self.store = Store(StoreSettings(server.bucket, "db/", who.access_key, who.secret_key,
                                         endpoint_url=server.store.endpoint_url))  # fmt: skip
        public = (server.state_path / "signing_key.pub").read_text()
        self.trust = Trust("checkniner@server", f'checkniner@server namespaces="checkniner-backups" {public}')
        self.home = Path(keys.keyring.home)

    def archives(self, **more: Any) -> Archives:
        return Archives(self.store, "checkniner", more.pop("trust", self.trust), gnupg_home=self.home, **more)


def history_keys(server: Server) -> list[str]:
    found = server.store.client().list_objects_v2(Bucket=server.bucket, Prefix="db-history/")
    return sorted(each["Key"] for each in found.get("Contents", ()))


def test_what_was_lost_when(server: Server, application: RunningApplication, keys: Keys) -> None:
    reader = Reader(server, keys)
    with pytest.raises(NotFoundError, match="no history below db-history/"):
        reader.archives()
    first = server.tick()["key"]
    execute = application.database.execute
    execute("DELETE FROM checkouts_checkout WHERE id IN (SELECT id FROM checkouts_checkout ORDER BY id LIMIT 7)")
    second = server.tick()["key"]
    execute("UPDATE checkouts_airstrip SET name = 'Renamed' WHERE id = (SELECT min(id) FROM checkouts_airstrip)")
    third = server.tick()["key"]
    # One object, named after its first archive, beside the archives: nothing of it is below their prefix.
    assert history_keys(server) == [first.replace("db/", "db-history/").replace(".tar.gz", ".json")]
    assert server.keys() == [first, second, third]
    found = reader.archives()
    told = [(each.archive, each.table, each.before, each.after) for each in found.timeline().found]
    count = application.database.execute("SELECT count(*) FROM checkouts_airstrip")[0][0]
    assert told == [
        (second[3:], TABLE, ROWS, ROWS - 7),
        (third[3:], "public.checkouts_airstrip", count, count),
    ]
    lines = found.timeline("checkouts.Checkout").lines()
    assert f"{ROWS} -> {ROWS - 7}  -7 rows  LOSS" in lines[1]
    assert len(lines) == 2
    chosen = found.before_loss("checkout")
    assert chosen.archive.key == first
    assert chosen.archive.size > 0
    # The archive before the loss is gone from the store, and nothing older is there.
    server.store.client().delete_object(Bucket=server.bucket, Key=first)
    with pytest.raises(NotFoundError, match=r"no archive from before the loss of checkouts_checkout"):
        reader.archives().before_loss("checkout")


def test_who_may_tell_a_history(server: Server, application: RunningApplication, keys: Keys, tmp_path: Path) -> None:
    """Somebody who may write to the store lays things there."""
    reader = Reader(server, keys)
    server.tick()
    application.change()
    server.tick()
    (key,) = history_keys(server)
    client = server.store.client()
    body = client.get_object(Bucket=server.bucket, Key=key)["Body"].read()
    plain = keys.keyring.gpg("--decrypt", data=body)
    assert b"-----BEGIN SSH SIGNATURE-----" in plain
    now = datetime.now(timezone.utc)

    def lay(name: str, content: bytes, *, encrypted: bool = True) -> None:
        if encrypted:
            recipient = ["--trust-model", "always", "--recipient", keys.plain.fingerprint]
            content = keys.keyring.gpg("--encrypt", *recipient, data=content)
        client.put_object(Bucket=server.bucket, Key=f"db-history/{name}", Body=content)

    names = [f"{now + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%S}.json.gpg" for minute in range(1, 6)]
    lay(names[0], plain)  # an older one under a newer name
    first = b"".join(plain.splitlines(keepends=True)[:2])
    lay(names[1], first.replace(key[11:30].encode(), names[1][:19].encode()))
    lay(names[2], b"[" * 100_000)
    lay(names[3], b"x" * (2 << 20))
    lay(names[4], plain, encrypted=False)
    lay(f"{now + timedelta(days=3):%Y-%m-%dT%H:%M:%S}.json.gpg", plain)
    found = reader.archives()
    assert [each.difference for each in found.timeline().found] == [1]
    told = "\n".join(found.known.left_out)
    assert "is of the future" in told
    for name, why in zip(names, ["made under another name", "not signed", "no history", "unfolds to more",
                                 "not an archive encrypted by gpg"], strict=True):  # fmt: skip
        (line,) = [line for line in found.known.left_out if name in line]
        assert why in line
    with pytest.raises(NotFoundError, match="counts"):
        reader.archives(trust=replace(reader.trust, known="", identity="checkniner@other"))
    other = replace(reader.trust, known="", identity="checkniner@other", other_server=True)
    assert len(reader.archives(trust=other).timeline().found) == 1
    reader.home = tmp_path / "empty"
    reader.home.mkdir(mode=0o700)
    with pytest.raises(EncryptionError, match="no private key here"):
        reader.archives()


def test_a_store_that_takes_no_history_costs_nothing_but_a_sentence(
    server: Server, application: RunningApplication, keys: Keys
) -> None:
    """The policy of an earlier release; then the right is given, and what is missing is made up for."""
    who = server.store.identities["without-history"]
    given = dict(server.environment)
    server.write_environment(S3_ACCESS_KEY=who.access_key, S3_SECRET_KEY=who.secret_key)
    done = server.run("run", "--json")
    first = json.loads(done.stdout)["key"]
    assert done.stderr.count("the history that timeline.yml shows is not complete in the store: cannot write") == 1
    assert "(AccessDenied); the archives are" in done.stderr
    assert server.state()["key"] == first
    assert history_keys(server) == []
    said = server.run("status")
    assert said.returncode == 0
    assert "scripts/policy prints the rights" in said.stdout
    (file,) = (server.state_path / "history").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    server.write_environment(S3_ACCESS_KEY=given["S3_ACCESS_KEY"], S3_SECRET_KEY=given["S3_SECRET_KEY"])
    application.change()
    assert "history" not in server.run("run").stderr
    assert "scripts/policy" not in server.run("status").stdout
    assert [each.difference for each in Reader(server, keys).archives().timeline().found] == [1]
    # A damaged file is replaced, and fails nothing: another life of the history begins, and the two follow each other.
    file.write_bytes(file.read_bytes()[:-50])
    application.change()
    assert server.tick()["saved"]
    assert len(history_keys(server)) == 2
    assert [each.difference for each in Reader(server, keys).archives().timeline().found] == [1, 1]
