#!/usr/bin/python
"""Ansible module: create, swap and drop whole databases."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_database
short_description: Create a database beside the live one, swap them by rename, swap back, or drop
version_added: "1.0.0"
description:
  - V(created) makes a new, empty database beside the live one, after it has made sure that this server can hold the
    dump.
  - V(settled) takes back the rights that only the load of a new database needed.
  - V(swapped) does that too, and renames both in one transaction, so that the new one is the live one; the old one is
    kept.
  - V(undone) swaps the newest kept one back, or the one that O(new) names.
  - V(absent) drops databases that a restore has left, never the live one.
  - Runs as a superuser of PostgreSQL (become postgres), or with the URL of one.
options:
  state:
    description: What to do.
    type: str
    choices: [created, settled, swapped, undone, absent]
    required: true
  live:
    description: Name of the live database.
    type: str
    required: true
  owner:
    description: The application's role. With V(created) it owns the new database; with V(swapped) it keeps the right
      to connect. A live database of another role is refused, unless that is a superuser or the application's role is a
      member of it.
    type: str
    default: ""
  new:
    description: Name of the new database, with V(settled), V(swapped) and V(absent); with V(created), a name to take
      instead of a made one; with V(undone), the kept database to go back to.
    type: str
    default: ""
  metadata:
    aliases: [facts]
    description: The archive manifest's metadata on the database, with V(created), V(settled) and V(swapped).
    type: dict
    default: {}
  source:
    description: What will be loaded, with V(created). Fixtures need neither the roles nor the extensions of the dump.
    type: str
    choices: [sql, fixtures]
    default: sql
  allowed_extensions:
    description: Extensions that need a superuser, and that may be created all the same.
    type: list
    elements: str
    default: []
  skip_settings:
    description: Whether the database's own settings will be left out, with V(created).
    type: bool
    default: false
  previous_older_than:
    description: With V(absent), drop the kept databases that are older than so many days; 0 for all.
    type: float
  admin_url:
    description: URL of a superuser's connection; without one, the local socket as the system user that runs this.
    type: str
    default: ""
  host:
    description: Folder of the local socket, if it is not the usual one.
    type: str
    default: ""
  port:
    description: The server's port, if it is not the usual one.
    type: str
    default: ""
requirements:
  - psycopg 3
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Checks whether it could be done.
  diff_mode:
    support: full
    description: Shows the names of the databases.
"""

EXAMPLES = """
- name: Make a database for the restore
  checkniner_database:
    state: created
    live: checkniner
    owner: checkniner
    metadata: "{{ archive.database }}"
  become: true
  become_user: postgres
"""

RETURN = """
database:
  description: Name of the new database.
  returned: with V(created)
  type: str
previous:
  description: What the old database is called now; empty where there was none.
  returned: with V(swapped) and V(undone)
  type: str
outage:
  description: Seconds during which nobody could connect.
  returned: with V(swapped) and V(undone)
  type: float
dropped:
  description: Names of the databases that were dropped.
  returned: with V(absent)
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.postgres import admin
from ansible.module_utils.checkniner_backups.postgres.dsn import Dsn
from ansible.module_utils.checkniner_backups.restore.databases import Change, Databases
from ansible.module_utils.checkniner_module import run


def change(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, do what the state asks for and return the names."""
    given = module.params
    live = Dsn(database=given["live"], host=given["host"], port=given["port"])
    administration = admin.admin_dsn(live, given["admin_url"])
    databases = Databases(administration, given["live"], given["owner"], dry_run=module.check_mode)
    done: Change
    if given["state"] == "created":
        done = databases.create(
            given["owner"], given["metadata"], given["allowed_extensions"], given["new"],
            kind=given["source"], skip_settings=given["skip_settings"],
        )  # fmt: skip
    elif given["state"] == "settled":
        done = databases.settle(given["new"], given["owner"], given["metadata"])
    elif given["state"] == "swapped":
        done = databases.swap(given["new"], given["metadata"], given["owner"])
    elif given["state"] == "undone":
        done = databases.undo(given["new"])
    else:
        done = databases.drop(given["new"], given["previous_older_than"])
    return {
        "changed": done.before != done.after,
        "database": done.database,
        "previous": done.previous,
        "outage": done.outage,
        "dropped": sorted(set(done.before) - set(done.after)) if given["state"] == "absent" else [],
        "diff": {"before": "\n".join([*done.before, ""]), "after": "\n".join([*done.after, ""])},
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "state": {"type": "str", "choices": ["created", "settled", "swapped", "undone", "absent"], "required": True},
        "live": {"type": "str", "required": True},
        "owner": {"type": "str", "default": ""},
        "new": {"type": "str", "default": ""},
        "metadata": {"type": "dict", "default": {}, "aliases": ["facts"]},
        "allowed_extensions": {"type": "list", "elements": "str", "default": []},
        "source": {"type": "str", "choices": ["sql", "fixtures"], "default": "sql"},
        "skip_settings": {"type": "bool", "default": False},
        "previous_older_than": {"type": "float"},
        "admin_url": {"type": "str", "default": "", "no_log": True},
        "host": {"type": "str", "default": ""},
        "port": {"type": "str", "default": ""},
    }
    required = [["state", "created", ["owner"]], ["state", "settled", ["new", "owner"]], ["state", "swapped", ["new"]]]
    run(change, arguments, required_if=required)


if __name__ == "__main__":
    main()
