"""A server's side of the backups without Ansible: engine, keyring, environment file, and the command of its crontab."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from .application import Application
from .keys import Key
from .object_store import ObjectStore


@dataclass
class Server:
    """An application with the engine beside it. `environment` is what the environment file says."""

    application: Application
    command: Path
    store: ObjectStore
    bucket: str
    state_path: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def environment_file(self) -> Path:
        """The file that the role would write."""
        return self.application.folder / "checkniner.env"

    def set_up(self, key: Key, public_key: str, **changes: str) -> None:
        """Given the key to encrypt to, write the environment file and import the key, all as the owner."""
        identity = self.store.identities["server"]
        self.environment = {
            "S3_ACCESS_KEY": identity.access_key,
            "S3_SECRET_KEY": identity.secret_key,
            "S3_BUCKET_NAME": self.bucket,
            "BACKUPS_GPG_RECIPIENT": key.fingerprint,
            "CHECKNINER_BACKUPS_S3_ENDPOINT_URL": self.store.endpoint_url,
            "CHECKNINER_BACKUPS_NAME": "checkniner",
            "CHECKNINER_BACKUPS_APPLICATION_PATH": str(self.application.path),
            "CHECKNINER_BACKUPS_VIRTUALENV": str(self.application.virtualenv),
            "CHECKNINER_BACKUPS_STATE_PATH": str(self.state_path),
            # A process of its own beside each first tick: on where it is what is tried.
            "CHECKNINER_BACKUPS_REHEARSAL": "none",
            **changes,
        }
        self.write_environment()
        home = self.state_path / "gnupg"
        if not home.exists():
            home.mkdir(mode=0o700)
            self.application.owner.own(home)
        self.gpg("--import", data=public_key)
        signing_key = self.state_path / "signing_key"
        if not signing_key.exists():
            self.application.owner.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", signing_key])

    def gpg(self, *arguments: str, data: str = "") -> None:
        """Run gpg on the server's keyring as the owner."""
        home = str(self.state_path / "gnupg")
        self.application.owner.run(["gpg", "--homedir", home, "--batch", "--no-autostart", *arguments], input=data)

    def write_environment(self, **changes: str) -> None:
        """Change values, and write the environment file anew."""
        self.environment |= changes
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self.environment.items()]
        self.environment_file.write_text("".join(lines))
        self.environment_file.chmod(0o600)
        self.application.owner.own(self.environment_file)

    def run(self, *arguments: str, check: bool = True, timeout: float = 300) -> CompletedProcess[str]:
        """Run `checkniner-backups` as cron would: as the owner, with nothing in its environment."""
        argv = [self.command, "--environment", self.environment_file, *arguments]
        return self.application.owner.run(argv, check=check, timeout=timeout)

    def tick(self) -> dict[str, Any]:
        """Run one tick and return what it says of itself."""
        return dict(json.loads(self.run("run", "--json").stdout))

    def keys(self) -> list[str]:
        """Return the keys in the bucket, sorted; not those of the history, which lies beside the archives."""
        found = self.store.client().list_objects_v2(Bucket=self.bucket, Prefix="db/")
        return sorted(entry["Key"] for entry in found.get("Contents", ()))

    def state(self) -> Mapping[str, Any]:
        """Return what the server remembers."""
        return dict(json.loads((self.state_path / "state.json").read_text()))
