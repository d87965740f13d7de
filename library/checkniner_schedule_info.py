#!/usr/bin/python
"""Ansible module: when a server's runs are due."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_schedule_info
short_description: Tell when a server's runs are due, for cron and for systemd
version_added: "1.2.0"
description:
  - Returns when a tick runs, and when old local archives are removed. Where no schedule is set, the minute and the
    second follow from a hash of the host's name, so that many hosts do not ask the store at the same moment.
  - Reads nothing but its arguments. Runs on the control machine.
options:
  host:
    description: The name that the default schedules follow from.
    type: str
    required: true
  tick:
    description: When a tick runs, as five fields of a crontab. Empty for every five minutes.
    type: str
    default: ""
  clean:
    description: When old local archives are removed, as five fields of a crontab. Empty for once a month.
    type: str
    default: ""
  scheduler:
    description: With V(systemd), the schedules are translated, and one that cannot be translated is an error.
    type: str
    choices: [cron, systemd]
    default: cron
extends_documentation_fragment:
  - checkniner_read_only
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Ask when the ticks of a host are due
  checkniner_schedule_info:
    host: server.example.org
"""

RETURN = """
schedules:
  description: >-
    For C(tick) and C(clean), C(cron) (the five fields of a crontab), C(wait) (what the crontab's command begins with)
    and C(calendars) (values of C(OnCalendar=); empty with O(scheduler=cron)).
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.system import schedule
from ansible.module_utils.checkniner_module import run


def look(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return when the runs are due."""
    given, host = module.params, module.params["host"]
    schedules = {
        "tick": schedule.Schedule(given["tick"]) if given["tick"] else schedule.tick_schedule(host),
        "clean": schedule.Schedule(given["clean"]) if given["clean"] else schedule.clean_schedule(host),
    }
    translated = given["scheduler"] == "systemd"
    return {
        "changed": False,
        "schedules": {
            job: {"cron": each.cron, "wait": each.wait, "calendars": each.calendars() if translated else []}
            for job, each in schedules.items()
        },
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "host": {"type": "str", "required": True},
        "tick": {"type": "str", "default": ""},
        "clean": {"type": "str", "default": ""},
        "scheduler": {"type": "str", "choices": ["cron", "systemd"], "default": "cron"},
    }
    run(look, arguments)


if __name__ == "__main__":
    main()
