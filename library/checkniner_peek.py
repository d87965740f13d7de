#!/usr/bin/python
"""Ansible module: the application's own pages over the data of an archive."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

DOCUMENTATION = """
module: checkniner_peek
short_description: Show the data of a stored archive in the application's own pages, read-only
version_added: "1.2.0"
description:
  - Restores an archive from SQL into a throwaway PostgreSQL server on this machine and starts the application's own
    code over it, on a free port of 127.0.0.1, as a role that may read and not write. The visitor is logged in to
    Django's admin as a superuser of the old data.
  - Goes on after the module has returned, until it is stopped, the play ends in any way, or O(minutes) are over. Then
    the server and its folder are removed.
  - Runs on the control machine, which holds the private key. Run as root, the server and the application's code run as
    the owner of O(application_path), or else as C(postgres) or C(nobody).
options:
  state:
    description: Whether to start it, or to stop the one of O(process).
    type: str
    choices: [started, stopped]
    default: started
  process:
    description: The process to stop, as RV(process) told it.
    type: str
  name:
    description: Name of the application whose archive this is.
    type: str
  minutes:
    description: The longest that it lasts.
    type: int
    default: 60
extends_documentation_fragment:
  - checkniner_checkout
  - checkniner_keyring
  - checkniner_store
  - checkniner_trial
  - checkniner_trust
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says which archive would be shown.
  diff_mode:
    support: none
    description: Nothing is edited.
"""

EXAMPLES = """
- name: Show the data of the newest archive at a time
  checkniner_peek:
    s3:
      bucket: my-backups
    name: checkniner
    trust:
      known_origins: /home/me/inventory/known_origins
      host: server.example.org
    at: 2026-11-20T14:35
    application_path: /home/me/src/checkniner
    virtualenv: /home/me/src/checkniner/venv
  delegate_to: localhost
  register: peek

- name: End that
  checkniner_peek:
    state: stopped
    process: "{{ peek.process }}"
  delegate_to: localhost
"""

RETURN = """
archive:
  description: The key of the archive that is shown.
  returned: when started
  type: str
process:
  description: What O(process) takes.
  returned: when started, not in check mode
  type: str
url:
  description: The address to open in a browser of this machine. It works once, for nobody else is to be let in.
  returned: when started, not in check mode
  type: str
user:
  description: The superuser that the visitor is logged in as. Empty where the old data know none.
  returned: when started, not in check mode
  type: str
sentence:
  description: What there is to see.
  returned: when started
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.drill import drill
from ansible.module_utils.checkniner_backups.drill.peek import peek
from ansible.module_utils.checkniner_backups.storage.choice import choose
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_backups.system import background
from ansible.module_utils.checkniner_module import (
    CHECKOUT,
    KEYRING,
    STORE,
    TRIAL,
    TRUST,
    code_of,
    gnupg_home_of,
    run,
    store_of,
    trust_of,
)


def start_or_stop(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, start or stop, and return what there is to see."""
    given = module.params
    if given["state"] == "stopped":
        return {"changed": not module.check_mode and background.stop(given["process"])}
    extensions, trust = tuple(given["allowed_extensions"]), trust_of(module, given["name"])
    plan = drill.Plan(given["name"], code_of(module), gnupg_home_of(module), extensions, given["skip_settings"], trust)
    store = Store(store_of(module))
    archive = choose(store, given["archive"], given["at"])
    if module.check_mode:
        return {"changed": True, "archive": archive.key, "sentence": f"would show {archive.key}"}
    shown = peek(store, archive, plan, given["minutes"])
    return {"changed": True, **asdict(shown), "sentence": shown.sentence}


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        **CHECKOUT,
        **KEYRING,
        **TRIAL,
        **TRUST,
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
        "process": {"type": "str"},
        "name": {"type": "str"},
        "minutes": {"type": "int", "default": 60},
    }
    required = [("state", "started", ["s3", "name", "trust"]), ("state", "stopped", ["process"])]
    run(start_or_stop, arguments, required_if=required, required_together=[["application_path", "virtualenv"]])


if __name__ == "__main__":
    main()
