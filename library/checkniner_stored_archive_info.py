#!/usr/bin/python
"""Ansible module: which archive in the store is meant."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_stored_archive_info
short_description: Find an archive in the store
version_added: "1.0.0"
description:
  - Finds the newest archive, the newest at a moment, or one by its key. Reads only.
  - Runs on the control machine, with the operator's credentials.
options:
  archive:
    description: V(latest), or a key.
    type: str
    default: latest
  at:
    description: The newest archive at or before this time, such as V(2026-11-20 14:35). Local time unless it names
      a zone.
    type: str
    default: ""
requirements:
  - boto3
extends_documentation_fragment:
  - checkniner_read_only
  - checkniner_store.required
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Find the newest archive
  checkniner_stored_archive_info:
    s3:
      bucket: my-backups
  delegate_to: localhost

- name: Find the archive of an afternoon
  checkniner_stored_archive_info:
    s3:
      bucket: my-backups
    at: 2026-11-20 14:35
  delegate_to: localhost
"""

RETURN = """
key:
  description: Its key.
  returned: success
  type: str
name:
  description: Its file name.
  returned: success
  type: str
stamp:
  description: Its time, UTC, ISO 8601.
  returned: success
  type: str
size:
  description: Its size in bytes.
  returned: success
  type: int
sha256:
  description: Its SHA-256, if the store knows it; empty for archives of the old scripts.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.storage.choice import choose
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_module import STORE, run, store_of


def find(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return the archive that they mean."""
    store = Store(store_of(module))
    archive = choose(store, module.params["archive"], module.params["at"])
    stored = store.head(archive.key)
    return {
        "changed": False,
        "key": archive.key,
        "name": archive.name,
        "stamp": archive.stamp.isoformat(),
        "size": stored.size,
        "sha256": stored.sha256 or "",
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        "archive": {"type": "str", "default": "latest"},
        "at": {"type": "str", "default": ""},
    }
    run(find, arguments)


if __name__ == "__main__":
    main()
