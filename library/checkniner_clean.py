#!/usr/bin/python
"""Ansible module: old local archives go."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_clean
short_description: Remove old local archives, all but the newest
version_added: "1.0.0"
description:
  - Removes the server's local archives, all but the newest and those that the store has not confirmed yet. The
    store is not touched.
  - Runs as the application's owner.
extends_documentation_fragment:
  - checkniner_environment
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says what would be removed.
  diff_mode:
    support: full
    description: Shows the list of archives before and after.
"""

EXAMPLES = """
- name: Remove old local archives
  checkniner_clean:
    environment_file: /etc/checkniner-backups/checkniner.env
"""

RETURN = """
removed:
  description: Names of the archives that were removed.
  returned: success
  type: list
  elements: str
kept:
  description: Names of those that stay.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.maintenance import retention
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def clean(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, remove old archives and return which."""
    cleaned = retention.clean(settings_of(module), dry_run=module.check_mode)
    before = sorted((*cleaned.removed, *cleaned.kept))
    return {
        "changed": bool(cleaned.removed),
        "removed": list(cleaned.removed),
        "kept": list(cleaned.kept),
        "diff": {"before": "\n".join([*before, ""]), "after": "\n".join([*cleaned.kept, ""])},
    }


def main() -> None:
    """Run the module."""
    run(clean, dict(ENVIRONMENT))


if __name__ == "__main__":
    main()
