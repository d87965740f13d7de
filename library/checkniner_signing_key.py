#!/usr/bin/python
"""Ansible module: the key that signs a server's archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_signing_key
short_description: Make the key that signs a server's archives
version_added: "1.2.0"
description:
  - Makes an ed25519 key of OpenSSH in the state folder, if there is none, and returns its public half. The manifest of
    each archive is signed with it.
  - Runs as the application's owner. The private half never leaves the server.
options:
  path:
    description: The state folder. It must exist.
    type: path
    required: true
  comment:
    description: A text for people, in the public half.
    type: str
    default: checkniner-backups
requirements:
  - ssh-keygen
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says whether a key would be made.
  diff_mode:
    support: none
    description: A key is nothing to compare.
"""

EXAMPLES = """
- name: Make the signing key
  checkniner_signing_key:
    path: /var/lib/checkniner-backups/checkniner
"""

RETURN = """
public_key:
  description: The public half, as in C(authorized_keys); empty in check mode where there is none yet.
  returned: success
  type: str
fingerprint:
  description: Its fingerprint, the origin of what it signs; empty where O(public_key) is.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.openssh import signing
from ansible.module_utils.checkniner_module import run


def make(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, make the key and return its public half."""
    folder = Path(module.params["path"])
    if module.check_mode:
        changed = signing.public_key(folder) is None
    else:
        changed = signing.make_key(folder, module.params["comment"])
    key = signing.public_key(folder)
    return {
        "changed": changed,
        "public_key": key.line if key else "",
        "fingerprint": key.fingerprint if key else "",
    }


def main() -> None:
    """Run the module."""
    run(make, {"path": {"type": "path", "required": True}, "comment": {"type": "str", "default": "checkniner-backups"}})


if __name__ == "__main__":
    main()
