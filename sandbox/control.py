"""The control machine's side: an inventory for one server, and `ansible-playbook` as an operator runs it."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .application import Application
from .keys import Key, Keyring
from .object_store import ObjectStore
from .owner import ourselves
from .virtualenv import ROOT


@dataclass
class Control:
    """An operator with an inventory, a keyring and S3 keys of their own.

    :param folder: for the inventory; only we may read it: it holds secrets
    :param variables: of the role
    :param others: more hosts of the inventory, each with what differs from those variables
    :param ansible_playbook: the command
    """

    folder: Path
    application: Application
    store: ObjectStore
    bucket: str
    keyring: Keyring
    key: Key
    admin_url: str
    variables: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    ansible_playbook: tuple[str, ...] = (str(Path(sys.executable).with_name("ansible-playbook")),)

    def __post_init__(self) -> None:
        base, owner = self.application.folder, self.application.owner
        # Ansible's own files: as whoever a task becomes, and nobody's home is touched.
        (base / "ansible").mkdir(exist_ok=True)
        (base / "ansible").chmod(0o1777)
        server = self.store.identities["server"]
        self.variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "/usr/bin/python3",
            # root becomes the owner by `su`, which every system has; its shell may be nologin.
            "ansible_become_method": "su",
            "ansible_become_flags": "-s /bin/sh",
            "checkniner_backups_name": "checkniner",
            "checkniner_backups_owner": owner.name,
            "checkniner_backups_group": grp.getgrgid(owner.group_id).gr_name,
            "checkniner_backups_administrator": ourselves().name,
            "checkniner_backups_application_path": str(self.application.path),
            "checkniner_backups_virtualenv": str(self.application.virtualenv),
            "checkniner_backups_install_path": str(base / "engine"),
            "checkniner_backups_config_path": str(base / "config"),
            "checkniner_backups_state_path": str(base / "state"),
            "checkniner_backups_log_path": str(base / "log"),
            "checkniner_backups_rehearsal": "none",  # some seconds for each set-up: on where it is what is tried
            "checkniner_backups_manage_packages": False,
            "checkniner_backups_manage_cron": False,
            "checkniner_backups_manage_logrotate": False,
            "checkniner_backups_schedule": "*/5 * * * *",  # the default waits for the host's own second
            "checkniner_backups_python": "/usr/bin/python3",
            "checkniner_backups_s3_bucket_name": self.bucket,
            "checkniner_backups_s3_endpoint_url": self.store.endpoint_url,
            "checkniner_backups_s3_access_key": server.access_key,
            "checkniner_backups_s3_secret_key": server.secret_key,
            "checkniner_backups_gpg_recipient": self.key.fingerprint,
            "checkniner_backups_gpg_public_key": self.keyring.export_public(self.key),
            "checkniner_backups_admin_database_url": self.admin_url,
            "checkniner_backups_post_restore_commands": [
                [
                    "python",
                    "-c",
                    "import django; django.setup(); from checkouts import util; util.export_pilotweights()",
                ]
            ],
            **self.variables,
        }

    @property
    def command(self) -> list[str]:
        """The tick's command, as the crontab would hold it, without the redirection."""
        environment_file = f"{self.variables['checkniner_backups_config_path']}/checkniner.env"
        program = f"{self.variables['checkniner_backups_install_path']}/bin/checkniner-backups"
        return [program, "--environment", environment_file, "run"]

    def write_inventory(self) -> Path:
        """Write the inventory (JSON is YAML) and return its path."""
        path = self.folder / "inventory.json"
        hosts = {"server": self.variables} | {name: self.variables | own for name, own in self.others.items()}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"all": {"hosts": hosts}}))
        return path

    def know(self, public_key: str) -> None:
        """Given the text of a signing key's public half, remember it as this server's, as set-up does."""
        path = self.folder / "known_origins"
        path.write_text(f'checkniner@server namespaces="checkniner-backups" {public_key}')

    def play(
        self,
        playbook: str,
        *options: str,
        folder: Path = ROOT,
        timeout: float = 600,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the checkout; return status, output and errors (text)."""
        invocation = self.invocation(playbook, *options, folder=folder, environment=environment)
        return subprocess.run(**invocation, capture_output=True, text=True, timeout=timeout, check=False)

    def invocation(
        self, playbook: str, *options: str, folder: Path = ROOT, environment: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Write the inventory; return the arguments of `subprocess.run` or `Popen` that run a playbook."""
        inventory = self.write_inventory()
        operator = self.store.identities["operator"]
        path = playbook if folder != ROOT else f"playbooks/{playbook}"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "S3_", "CHECKNINER"))
        }
        return {
            "args": [*self.ansible_playbook, "-i", str(inventory), path, *options],
            "cwd": folder,
            "env": {
                **kept,
                "LC_ALL": "C.UTF-8",
                "GNUPGHOME": str(self.keyring.home),
                "S3_ACCESS_KEY": operator.access_key,
                "S3_SECRET_KEY": operator.secret_key,
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible"),
                "ANSIBLE_REMOTE_TMP": str(self.application.folder / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
                **(environment or {}),
            },
            "stdin": subprocess.DEVNULL,
        }
