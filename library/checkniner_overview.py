#!/usr/bin/python
"""Ansible module: all servers on one table, and on one page."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_overview
short_description: Show all servers on one table and one page
version_added: "1.2.0"
description:
  - Takes what was found out of each server, and says what needs a human first, with the commands that mend it.
  - Writes it as JSON and as one HTML page that needs no script and no other file. Asks no server and no store.
options:
  hosts:
    description: >-
      What was found out of each server. C(name) is its name in the inventory. Where the server was asked,
      C(unreachable) says why it does not answer, C(installed) whether the command is there, C(status), C(output) and
      C(errors) are what came of C(checkniner-backups status --json), and C(failure) says why that could not be started.
      Where the store was asked, C(stored) is what M(checkniner_stored_archives_info) has returned, and
      C(store_failure) says why the store could not be asked.
    type: list
    elements: dict
    required: true
  inventory:
    description: What the commands name after C(-i).
    type: list
    elements: str
    default: []
  playbooks:
    description: >-
      What the commands call the playbooks C(setup), C(backup), C(restore), C(drill), C(list), C(clean) and C(pause).
    type: dict
    default: {}
  output:
    description: The file on this machine that gets everything as JSON.
    type: path
  page:
    description: The file on this machine that gets the HTML page.
    type: path
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Writes no file.
  diff_mode:
    support: none
    description: The files are different each time, by the ages in them.
"""

EXAMPLES = """
- name: Show what was found
  checkniner_overview:
    hosts:
      - name: server.example.org
        installed: true
        status: 0
        output: "{{ asked.stdout }}"
    page: /home/me/backups.html
  delegate_to: localhost
"""

RETURN = """
well:
  description: Whether nothing is wrong with any server.
  returned: success
  type: bool
sentence:
  description: The one thing to know first.
  returned: success
  type: str
needs:
  description: >-
    What needs a human, the most urgent thing first, each with C(host), C(kind), C(text), C(commands), and C(urgent),
    which is false for what is good to do where all is well otherwise.
  returned: success
  type: list
  elements: dict
table:
  description: What the servers say of themselves, as lines for people.
  returned: success
  type: list
  elements: str
archives:
  description: What the store holds of each server, as lines for people; empty where the store was not asked.
  returned: success
  type: list
  elements: str
todo:
  description: The needs as lines for people.
  returned: success
  type: list
  elements: str
"""

from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.overview import tables
from ansible.module_utils.checkniner_backups.overview.hosts import host_of
from ansible.module_utils.checkniner_backups.overview.needs import Commands, needs
from ansible.module_utils.checkniner_backups.overview.page import page
from ansible.module_utils.checkniner_backups.system.files import write_durably
from ansible.module_utils.checkniner_module import run


def show(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return what needs a human, and write the files."""
    given = module.params
    hosts = [host_of(each) for each in given["hosts"]]
    found = needs(hosts, Commands(given["inventory"], given["playbooks"]))
    now = datetime.now(timezone.utc)
    files = {given["output"]: tables.as_json(hosts, found, now), given["page"]: page(hosts, found, now)}
    wanted = {Path(name): text for name, text in files.items() if name}
    if not module.check_mode:
        for path, text in wanted.items():
            write_durably(path, text.encode())
    return {
        "changed": bool(wanted),
        "well": not any(each.urgent for each in found),
        "sentence": tables.sentence(hosts, found),
        "needs": [each.as_dict() for each in found],
        "table": tables.status_lines(hosts, found),
        "archives": tables.store_lines(hosts),
        "todo": tables.need_lines(found),
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "hosts": {"type": "list", "elements": "dict", "required": True},
        "inventory": {"type": "list", "elements": "str", "default": []},
        "playbooks": {"type": "dict", "default": {}},
        "output": {"type": "path"},
        "page": {"type": "path"},
    }
    run(show, arguments)


if __name__ == "__main__":
    main()
