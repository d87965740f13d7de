#!/usr/bin/python
"""Ansible module: the control machine remembers the key that signs a server's archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_known_origin
short_description: Remember the key that signs a server's archives
version_added: "1.2.0"
description:
  - Adds the public key of a server to a file of known origins, in OpenSSH's format of allowed signers.
  - The first key of a server is taken as it is given. Another key for the same server is refused, and so is the key of
    another server, unless O(new_origin) says that it is right. The key before it stays good for what it had signed.
  - Runs on the control machine.
options:
  path:
    description: The file. Its folder must exist.
    type: path
    required: true
  application:
    description: Name of the application.
    type: str
    required: true
  host:
    description: The server's name in the inventory.
    type: str
    required: true
  public_key:
    description: The public key, as M(checkniner_signing_key) returns it.
    type: str
    required: true
  new_origin:
    description: Take this key, though the server is known with another one, or the key with another server.
    type: bool
    default: false
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says what would be added.
  diff_mode:
    support: full
    description: Shows the lines that are added.
"""

EXAMPLES = """
- name: Remember the key
  checkniner_known_origin:
    path: /home/me/inventory/known_origins
    application: checkniner
    host: server.example.org
    public_key: "{{ made.public_key }}"
  delegate_to: localhost
"""

RETURN = """
identity:
  description: Under which name the key is known.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.openssh import known_origins
from ansible.module_utils.checkniner_backups.openssh.signing import parse_public_key
from ansible.module_utils.checkniner_module import run


def remember(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, remember the key and return under which name it is known."""
    given = module.params
    name = known_origins.identity(given["application"], given["host"])
    learned = known_origins.learn(
        Path(given["path"]),
        name,
        parse_public_key(given["public_key"]),
        new_origin=given["new_origin"],
        dry_run=module.check_mode,
    )
    return {
        "changed": learned.before != learned.after,
        "identity": name,
        "diff": {"before": learned.before, "after": learned.after},
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "path": {"type": "path", "required": True},
        "application": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "public_key": {"type": "str", "required": True, "no_log": False},
        "new_origin": {"type": "bool", "default": False},
    }
    run(remember, arguments)


if __name__ == "__main__":
    main()
