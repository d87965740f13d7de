#!/usr/bin/python
"""Ansible module: the safety backup around a swap of databases."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_safety_backup
short_description: Save what a restore is about to replace, or what was written in between
version_added: "1.0.0"
description:
  - Without O(replaced), saves the application's database as it is, as SQL, below the prefix C(before-restore/).
  - With O(replaced), compares the database that a swap has just replaced with that backup, and saves it if it differs.
  - Runs as the application's owner.
options:
  replaced:
    description: Name of the database that was replaced.
    type: str
    default: ""
requirements:
  - boto3
  - psycopg 3
  - python-gnupg
  - zlib-ng
extends_documentation_fragment:
  - checkniner_environment
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
  checkniner_safety_backup:
    environment_file: /etc/checkniner-backups/checkniner.env
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
from ansible.module_utils.checkniner_backups.backup import safety
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def save(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, save and return the key."""
    settings = settings_of(module)
    if module.check_mode:
        return {"changed": True, "key": "", "reason": "check mode"}
    replaced = module.params["replaced"]
    saved = safety.save_between(settings, replaced) if replaced else safety.save_before(settings)
    return {"changed": bool(saved.key), "key": saved.key, "reason": saved.reason}


def main() -> None:
    """Run the module."""
    run(save, {**ENVIRONMENT, "replaced": {"type": "str", "default": ""}})


if __name__ == "__main__":
    main()
