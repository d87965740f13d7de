#!/usr/bin/python
"""Ansible module: the dataset of one snapshot, if the business data changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_dump
short_description: Dump the database and its fixtures from one snapshot, if the business data changed
version_added: "1.0.0"
description:
  - Checks whether the business apps' data differ from the last saved archive's. If so, writes SQL, fixtures, row
    counts and digests of one snapshot into a folder, compressed, for M(checkniner_package) and M(checkniner_upload).
  - Runs as the application's owner.
options:
  path:
    description: The folder to write into. It is made with mode 0700, and must not exist.
    type: path
    required: true
  force:
    description: Dump even if nothing changed.
    type: bool
    default: false
requirements:
  - psycopg 3
  - pg_dump
extends_documentation_fragment:
  - checkniner_environment
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Decides as it would, and leaves no dataset.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: Dump what changed
  checkniner_dump:
    environment_file: /etc/checkniner-backups/checkniner.env
    path: /var/lib/checkniner-backups/checkniner/by-hand
"""

RETURN = """
check_level:
  description: The change check that decided; V(snapshot), V(rows), V(full), or V(none) where it was forced.
  returned: success
  type: str
look:
  description: The former name of RV(check_level), with V(mark) for V(snapshot).
  returned: success
  type: str
reason:
  description: Why it changed or not, in words.
  returned: success
  type: str
members:
  description: Name, size in bytes and SHA-256 of each file of the dataset.
  returned: changed
  type: list
  elements: dict
missing:
  description: The apps whose fixture could not be read, with the reason. The SQL is complete all the same.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.backup import tick as backup
from ansible.module_utils.checkniner_backups.errors import DiskError
from ansible.module_utils.checkniner_backups.state.folder import PATIENCE
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def dump(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, check and dump; return the verdict."""
    folder = Path(module.params["path"])
    with backup.prepared(settings_of(module), force=module.params["force"], patience=PATIENCE) as context:
        verdict = backup.check_snapshot(context)
        members: tuple[Any, ...] = ()
        missing = context.saved.missing if context.saved else {}
        if verdict is None:
            try:
                folder.mkdir(mode=0o700)
            except OSError as error:
                raise DiskError.at(folder, error) from None
            keep = False
            try:
                dumped = backup.check(context, folder)
                verdict, missing = dumped.verdict, dumped.missing
                members = dumped.dataset.members if dumped.dataset and dumped.candidate else ()
                keep = verdict.changed and not module.check_mode
            finally:
                if not keep:
                    shutil.rmtree(folder)
    return {
        "changed": verdict.changed,
        "check_level": verdict.level.key,
        "look": verdict.level.former_key,
        "reason": verdict.reason,
        "missing": dict(missing),
        "members": [{"name": each.name, "size": each.size, "sha256": each.sha256} for each in members],
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **ENVIRONMENT,
        "path": {"type": "path", "required": True},
        "force": {"type": "bool", "default": False},
    }
    run(dump, arguments)


if __name__ == "__main__":
    main()
