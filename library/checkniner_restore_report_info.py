#!/usr/bin/python
"""Ansible module: what a restore says at its end."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

DOCUMENTATION = """
module: checkniner_restore_report_info
short_description: Say what a restore has done
version_added: "1.2.0"
description:
  - Composes the lines that a restore ends with, which archive it was, of when its data are, what was proven, where the
    data are now, what is not in them, and the way back. Reads nothing and changes nothing.
options:
  archive:
    description: The archive's key in the store, or its path.
    type: str
    required: true
  summary:
    description: What was proven.
    type: str
    required: true
  way:
    description: Where the data went.
    type: str
    choices: [swap, beside, live, elsewhere]
    required: true
  data_of:
    description: The time of the archive's snapshot, ISO 8601; empty where the archive does not tell.
    type: str
    default: ""
  database:
    description: Where the data are.
    type: str
    default: ""
  outage:
    description: Seconds during which nobody could connect.
    type: float
    default: 0
  previous:
    description: What the replaced database is called now.
    type: str
    default: ""
  dropped:
    description: The kept databases that were dropped since.
    type: list
    elements: str
    default: []
  safety_key:
    description: Where the data are saved as they were before.
    type: str
    default: ""
  seconds:
    description: How long the restore took.
    type: float
    default: 0
extends_documentation_fragment:
  - checkniner_read_only
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Compose what was done
  checkniner_restore_report_info:
    archive: db/2026-11-22T19:35:00.tar.gz.gpg
    summary: "proven: 15 tables, 442 rows"
    way: swap
    previous: shop_before_20261122t200000
  delegate_to: localhost
"""

RETURN = """
lines:
  description: The lines, the most important one first.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.restore.report import Report
from ansible.module_utils.checkniner_backups.restore.stages import BESIDE, ELSEWHERE, LIVE, SWAP
from ansible.module_utils.checkniner_module import run


def compose(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return the lines."""
    given = module.params
    report = Report(
        archive=given["archive"],
        summary=given["summary"],
        way=given["way"],
        data_of=datetime.fromisoformat(given["data_of"]) if given["data_of"] else None,
        database=given["database"],
        outage=given["outage"],
        previous=given["previous"],
        dropped=given["previous"] in given["dropped"],
        safety=(given["safety_key"],) if given["safety_key"] else (),
        seconds=given["seconds"],
    )
    return {"changed": False, "lines": report.lines(datetime.now(timezone.utc))}


def main() -> None:
    """Run the module."""
    arguments = {
        "archive": {"type": "str", "required": True},
        "summary": {"type": "str", "required": True},
        "way": {"type": "str", "required": True, "choices": [SWAP, BESIDE, LIVE, ELSEWHERE]},
        "data_of": {"type": "str", "default": ""},
        "database": {"type": "str", "default": ""},
        "outage": {"type": "float", "default": 0},
        "previous": {"type": "str", "default": ""},
        "dropped": {"type": "list", "elements": "str", "default": []},
        "safety_key": {"type": "str", "default": "", "no_log": False},
        "seconds": {"type": "float", "default": 0},
    }
    run(compose, arguments)


if __name__ == "__main__":
    main()
