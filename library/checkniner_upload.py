#!/usr/bin/python
"""Ansible module: an archive goes into the store, and is remembered once the store has confirmed it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_upload
short_description: Upload an archive and remember it as saved
version_added: "1.0.0"
description:
  - Uploads an archive of M(checkniner_package), looks at what the store then holds, and only then remembers the
    dataset as saved.
  - Runs as the application's owner.
options:
  path:
    description: The folder of the dataset.
    type: path
    required: true
  archive:
    description: The archive's path.
    type: path
    required: true
  sha256:
    description: The archive's SHA-256, as it was packed.
    type: str
    required: true
requirements:
  - boto3
extends_documentation_fragment:
  - checkniner_environment
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Sends nothing.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: Upload the archive
  checkniner_upload:
    environment_file: /etc/checkniner-backups/checkniner.env
    path: /var/lib/checkniner-backups/checkniner/by-hand
    archive: "{{ packed.archive }}"
    sha256: "{{ packed.sha256 }}"
"""

RETURN = """
key:
  description: The archive's key in the store.
  returned: changed and not in check mode
  type: str
size:
  description: Its size in bytes, as the store says.
  returned: changed and not in check mode
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.backup import publish as saving
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def upload(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, upload the archive and return its key."""
    settings = settings_of(module)
    if module.check_mode:
        return {"changed": True}
    archive = Path(module.params["archive"])
    saved = saving.upload(settings, Path(module.params["path"]), archive, module.params["sha256"])
    return {"changed": True, "key": saved.key, "size": saved.size}


def main() -> None:
    """Run the module."""
    arguments = {
        **ENVIRONMENT,
        "path": {"type": "path", "required": True},
        "archive": {"type": "path", "required": True},
        "sha256": {"type": "str", "required": True},
    }
    run(upload, arguments)


if __name__ == "__main__":
    main()
