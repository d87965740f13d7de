"""A place where the commands of the documentation are true: server, store, inventory and all, under other names."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from checkniner_backups.storage.policy import prune_policy

from sandbox import guard
from sandbox.application import Application
from sandbox.comparison import Content, objects
from sandbox.control import Control
from sandbox.keys import Keyring
from sandbox.object_store import ObjectStore
from sandbox.postgres import Cluster

from .blocks import ROOT, Block

DATABASE = "checkniner"
BUCKET = "my-checkniner-backups"
ADDRESS = "backups@example.org"
_LINKS = ("ansible.cfg", "doc_fragments", "library", "module_utils", "roles", "playbooks", "requirements",
          "pyproject.toml", "scripts", "sandbox", "Makefile", ".venv", "examples")  # fmt: skip
_SSH = """#!/bin/sh
# ssh [-t] SOMEBODY@server COMMAND
[ "$1" = -t ] && shift
cd {home} && HOME={home} exec {become} sh -c "$2"
"""
_SUDO = """#!/bin/sh
# sudo -u postgres COMMAND...
[ "$1 $2" = "-u postgres" ] || exit 9
shift 2
PGUSER=postgres PGPASSWORD={password} exec "$@"
"""


@dataclass
class World:
    """A checkout's stand-in that is the working folder, with a shell that remembers what it was told."""

    folder: Path
    cluster: Cluster
    store: ObjectStore
    application: Application
    keyring: Keyring
    control: Control
    # The page's example of a time before the damage: here, the newest archive is the one that is wanted.
    replaced: dict[str, str] = field(default_factory=lambda: {"2026-11-20 14:35Z": "2099-11-20 14:35Z"})
    done: set[str] = field(default_factory=set)

    @property
    def inventory(self) -> Path:
        """The user's inventory."""
        return self.folder / "inventory.yml"

    def translate(self, text: str) -> str:
        """Given text of the documentation, replace its names by those that hold here."""
        for name in sorted(self.replaced, key=len, reverse=True):
            text = text.replace(name, self.replaced[name])
        return text

    def learn_key(self) -> None:
        """The key pair's fingerprint, after the documentation's own command has made it."""
        listed = self.keyring.gpg("--list-keys", "--with-colons", ADDRESS).decode()
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        self.replaced["0123456789ABCDEF0123456789ABCDEF01234567"] = fingerprint

    def fetch_newest(self, name: str) -> None:
        """Put the newest archive into the working folder; the documentation calls it `name`."""
        client = self.store.client()
        entries = client.list_objects_v2(Bucket=BUCKET, Prefix="db/2")["Contents"]
        key = max(entry["Key"] for entry in entries)
        self.replaced[name] = key.removeprefix("db/")
        self.replaced[name.replace(":", "%3A")] = key.removeprefix("db/").replace(":", "%3A")  # in a URL
        self.replaced[name.partition(".")[0]] = key.removeprefix("db/").partition(".")[0]
        client.download_file(BUCKET, key, str(self.folder / key.removeprefix("db/")))

    def store_keys(self, name: str) -> None:
        """Write the operator's keys into a file of curl's configuration."""
        operator = self.store.identities["operator"]
        (self.folder / name).write_text(f'user = "{operator.access_key}:{operator.secret_key}"\n')

    def run(self, block: Block) -> str:
        """Run a block as a reader would, one after the other in the same shell; return what it printed."""
        text = self.translate(block.text)
        if block.on_the_server:
            result = self.application.owner.run(
                ["bash", "-euo", "pipefail", "-c", text], environment=self._postgres(), folder=self.application.folder,
                check=False, timeout=600,
            )  # fmt: skip
        else:
            state = self.folder / ".shell"
            state.touch()
            lines = ["set -euo pipefail", f". {state}", text, f"export -p >{state}"]
            result = subprocess.run(
                ["bash", "-c", "\n".join(lines)], cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL,
                start_new_session=True, capture_output=True, text=True, timeout=600, check=False,
            )  # fmt: skip
        said = result.stdout + result.stderr
        assert result.returncode == 0, f"{block} ended with {result.returncode}:\n{text}\n{said[-6000:]}"
        return said

    def content(self, database: str = DATABASE) -> Content:
        """Return what is in a database, but for the times of migrations and the like."""
        return objects(self.cluster.admin_url(database))

    def _postgres(self) -> dict[str, str]:
        password = self.application.environment["DATABASE_URL"].split(":")[2].partition("@")[0]
        port = str(self.cluster.port)
        return {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": DATABASE, "PGPASSWORD": password}

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.application.folder / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "GNUPGHOME": str(self.keyring.home),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_REMOTE_TMP": str(self.application.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            **self._postgres(),
        }


@contextmanager
def world(rows: int = 300) -> Iterator[World]:
    """Make everything that the documentation takes for granted, and take it away at the end."""
    with ExitStack() as parts:
        cluster = parts.enter_context(Cluster())
        folder = guard.make_folder("cn-docs")
        parts.callback(guard.remove_folder, folder)
        rights = {"pruner": prune_policy(BUCKET)}
        store = parts.enter_context(ObjectStore(guard.make_folder("cn-s3"), policies=rights))
        store.create_bucket(BUCKET)
        keyring = parts.enter_context(Keyring())
        # Where a reader is asked for a passphrase.
        (folder / "passphrase").write_text("correct horse\n")
        lines = f"batch\npinentry-mode loopback\npassphrase-file {folder / 'passphrase'}\n"
        (keyring.home / "gpg.conf").write_text(lines)
        cluster.create_role(DATABASE, password := secrets.token_hex(8), "CREATEDB")
        cluster.create_database(DATABASE, DATABASE)
        application = parts.enter_context(Application(cluster.url(DATABASE, DATABASE, password)))
        application.fill(rows)
        with Keyring() as other:  # the reader makes the key, and names it in the inventory
            key = other.generate()
            control = Control(folder, application, store, BUCKET, other, key, cluster.admin_url())
        made = World(folder, cluster, store, application, keyring, control)
        _furnish(made)
        yield made


def _as(application: Application) -> str:
    owner = application.owner
    return "" if owner.is_us else f"setpriv --reuid={owner.user_id} --regid={owner.group_id} --clear-groups"


def _url(made: World, database: str) -> str:
    return made.application.environment["DATABASE_URL"].removesuffix(DATABASE) + database


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _furnish(made: World) -> None:
    variables = made.control.variables
    for name in _LINKS:
        (made.folder / name).symlink_to(ROOT / name)
    programs = made.application.folder / "bin"  # both sides can reach it
    programs.mkdir(mode=0o755)
    # There is no network between the two, and no root: both are stood in for.
    _write_program(programs / "ssh", _SSH.format(home=made.application.folder, become=_as(made.application)))
    _write_program(programs / "sudo", _SUDO.format(password=made.cluster.password))
    # What a sandbox needs beside the reader's own inventory.
    shown = {"owner", "application_path", "virtualenv", "s3_bucket_name", "s3_access_key", "s3_secret_key",
             "gpg_recipient", "gpg_public_key"}  # fmt: skip
    hidden = {name: value for name, value in variables.items() if name.removeprefix("checkniner_backups_") not in shown}
    host = made.folder / "host_vars" / "server.example.org.json"
    host.parent.mkdir()
    host.write_text(json.dumps({**hidden, "ansible_user": None}))
    server, operator, pruner = (made.store.identities[name] for name in ("server", "operator", "pruner"))
    made.replaced |= {
        "make demo": "make --dry-run demo",  # test_demo.py runs it
        "make test": "make --dry-run test",  # you are here
        "apt-get install -y git make": "apt-get install --simulate -y git make",
        "THE-SERVER-S-ACCESS-KEY": server.access_key,
        "THE-SERVER-S-SECRET-KEY": server.secret_key,
        "the-operator-s-access-key": operator.access_key,
        "the-operator-s-secret-key": operator.secret_key,
        "the-prune-s-access-key": pruner.access_key,
        "the-prune-s-secret-key": pruner.secret_key,
        "https://s3.example.org": made.store.endpoint_url,
        "checkniner_backups_owner: checkniner": f"checkniner_backups_owner: {made.application.owner.name}",
        "postgres:///checkniner_restored": _url(made, "checkniner_restored"),
        "postgres:///checkniner_empty": _url(made, "checkniner_empty"),
        "/home/me/copy.db": str(made.application.folder / "copy.db"),
        "/home/me/src/checkniner": str(made.application.path),
        "/home/me/src/checkniner/venv": str(made.application.virtualenv),
        "/home/checkniner/checkniner": str(made.application.path),
        "/home/checkniner/venv": str(made.application.virtualenv),
        "/opt/checkniner-backups": variables["checkniner_backups_install_path"],
        "/etc/checkniner-backups": variables["checkniner_backups_config_path"],
        "/var/lib/checkniner-backups/checkniner": variables["checkniner_backups_state_path"],
        "/var/log/checkniner-backups": variables["checkniner_backups_log_path"],
    }
