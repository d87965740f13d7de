#!/usr/bin/python
"""Ansible module: one backup from look to upload, as a tick does it."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_backup
short_description: Save an archive in one step, as a tick does
version_added: "1.0.0"
description:
  - Does in one step what M(checkniner_dump), M(checkniner_package) and M(checkniner_upload) do in three.
  - With O(database), saves another database of the same server, such as the one that a restore has replaced.
  - Runs as the application's owner.
options:
  environment_file:
    description: The file of settings that the role has written.
    type: path
    required: true
  force:
    description: Save even if nothing changed.
    type: bool
    default: false
  database:
    description: Name of another database to save instead of the application's, if it differs from the last archive.
    type: str
    default: ""
requirements:
  - boto3
  - psycopg 3
  - python-gnupg
  - zlib-ng
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Saves nothing, and says that it would.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: A backup of the data as they are, before a restore replaces them
  checkniner_backup:
    environment_file: /etc/checkniner-backups/checkniner.env
    force: true
"""

RETURN = """
key:
  description: The archive's key in the store; empty where nothing was saved.
  returned: success
  type: str
reason:
  description: Why it was saved or not, in words.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups import backup
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def save(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, save and return the key."""
    settings = settings_of(module)
    if module.check_mode:
        return {"changed": True, "key": "", "reason": "check mode"}
    if module.params["database"]:
        outcome = backup.save_replaced(settings, module.params["database"])
    else:
        outcome = backup.tick(settings, force=module.params["force"])
    return {"changed": bool(outcome.key), "key": outcome.key, "reason": outcome.verdict.reason}


def main() -> None:
    """Run the module."""
    arguments = {
        **ENVIRONMENT,
        "force": {"type": "bool", "default": False},
        "database": {"type": "str", "default": ""},
    }
    run(save, arguments)


if __name__ == "__main__":
    main()
