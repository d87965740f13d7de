#!/usr/bin/python
"""Ansible module: which stages a restore has."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_restore_plan_info
short_description: Say which stages a restore has, or what does not go together
version_added: "1.2.0"
description:
  - Checks what was asked for before anything is done, and returns the stages of the restore in their order. The command
    line follows the same list. Reads nothing and changes nothing. In check mode, stages are left out that need what
    check mode does not make.
options:
  source:
    description: What to load, V(sql) or V(fixtures).
    type: str
    required: true
  apps:
    description: With V(fixtures), the apps to load; empty for all.
    type: list
    elements: str
    default: []
  archive:
    description: The key of one archive; V(latest) or empty for the newest one.
    type: str
    default: ""
  at:
    description: A time, for the newest archive at or before it.
    type: str
    default: ""
  before_loss:
    description: A table or a model, for the newest archive before its last loss of rows.
    type: str
    default: ""
  archive_file:
    description: An archive on the control machine.
    type: str
    default: ""
  target_database:
    description: Restore beside the live database, under this name.
    type: str
    default: ""
  target_url:
    description: Fill the database of this URL.
    type: str
    default: ""
  into:
    description: V(live) to replace the apps' rows in the live database.
    type: str
    choices: ["", live]
    default: ""
  skip_safety_backup:
    description: Whether the data are not saved before they are replaced.
    type: bool
    default: false
  drop_previous:
    description: Whether all kept databases are dropped afterwards.
    type: bool
    default: false
  keep_previous_days:
    description: Drop kept databases that are older than so many days; -1 for none.
    type: float
    default: -1
  commands:
    description: The commands before and after, each a list of words.
    type: list
    elements: raw
    default: []
extends_documentation_fragment:
  - checkniner_read_only
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Look which stages there are
  checkniner_restore_plan_info:
    source: sql
  delegate_to: localhost
"""

RETURN = """
way:
  description: Where the data go, V(swap), V(beside), V(live) or V(elsewhere).
  returned: success
  type: str
prepare:
  description: The stages while the application runs and the live database is not touched.
  returned: success
  type: list
  elements: str
stopped:
  description: The stages between the commands before and the commands after.
  returned: success
  type: list
  elements: str
finish:
  description: The stages once the restored data are live.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.restore.stages import RestoreOptions, check_archive, plan_of
from ansible.module_utils.checkniner_module import run

TEXT: dict[str, Any] = {"type": "str", "default": ""}


def plan(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return the stages."""
    given = module.params
    check_archive(given["archive"], given["at"], given["archive_file"], given["before_loss"])
    older_than = 0.0 if given["drop_previous"] else given["keep_previous_days"]
    options = RestoreOptions(
        kind=given["source"],
        apps=tuple(given["apps"]),
        target=given["target_database"],
        into_live=given["into"] == "live",
        elsewhere=bool(given["target_url"]),
        after=tuple(given["commands"]),
        skip_safety_backup=given["skip_safety_backup"],
        drop_older_than=older_than if older_than >= 0 else None,
    )
    planned = plan_of(options, dry_run=module.check_mode)
    return {
        "changed": False,
        "way": planned.way,
        "prepare": [stage.value for stage in planned.prepare],
        "stopped": [stage.value for stage in planned.stopped],
        "finish": [stage.value for stage in planned.finish],
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "source": {"type": "str", "required": True},
        "apps": {"type": "list", "elements": "str", "default": []},
        "archive": TEXT,
        "at": TEXT,
        "before_loss": TEXT,
        "archive_file": TEXT,
        "target_database": TEXT,
        "target_url": {**TEXT, "no_log": True},
        "into": {**TEXT, "choices": ["", "live"]},
        "skip_safety_backup": {"type": "bool", "default": False},
        "drop_previous": {"type": "bool", "default": False},
        "keep_previous_days": {"type": "float", "default": -1},
        "commands": {"type": "list", "elements": "raw", "default": []},
    }
    run(plan, arguments)


if __name__ == "__main__":
    main()
