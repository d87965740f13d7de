#!/usr/bin/python
"""Ansible module: a dataset becomes an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_package
short_description: Make an encrypted archive of a dataset
version_added: "1.0.0"
description:
  - Packs a dataset of M(checkniner_dump) into a C(.tar.gz), encrypted in the same pass, among the server's local
    archives, and lets the link C(latest.tar.gz.gpg) point at it.
  - Runs as the application's owner.
options:
  path:
    description: The folder of the dataset.
    type: path
    required: true
requirements:
  - python-gnupg
  - zlib-ng
  - gpg
extends_documentation_fragment:
  - checkniner_environment
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Writes nothing.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: Package the dataset
  checkniner_package:
    environment_file: /etc/checkniner-backups/checkniner.env
    path: /var/lib/checkniner-backups/checkniner/by-hand
"""

RETURN = """
archive:
  description: The archive's path.
  returned: changed and not in check mode
  type: str
size:
  description: Its size in bytes.
  returned: changed and not in check mode
  type: int
sha256:
  description: Its SHA-256.
  returned: changed and not in check mode
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.backup import tick as backup
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def package(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, write the archive and return what it is."""
    settings = settings_of(module)
    if module.check_mode:
        return {"changed": True}
    packed = backup.package(settings, Path(module.params["path"]))
    return {"changed": True, "archive": str(packed.path), "size": packed.size, "sha256": packed.sha256}


def main() -> None:
    """Run the module."""
    run(package, {**ENVIRONMENT, "path": {"type": "path", "required": True}})


if __name__ == "__main__":
    main()
