#!/usr/bin/python
"""Ansible module: what changed when, as the history in the store tells."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_timeline_info
short_description: Tell which tables changed from archive to archive
version_added: "1.2.0"
description:
  - Reads the history that a server keeps beside its archives, which is decrypted by the operator's gpg-agent, and
    returns how many rows came and went in each table, or which archive is the newest before rows were lost. Reads
    only, and downloads no archive.
  - Runs on the control machine, with the operator's credentials. No server is connected to.
  - Only what O(trust) takes is believed.
options:
  application:
    description: The application's name, as in its archives' manifests.
    type: str
    required: true
  days:
    description: How many days back the changes are told.
    type: float
    default: 7
  since:
    description: From when on the changes are told, in place of O(days), such as V(2026-11-20), V(2026-11-20T14:35) or
      V(2026-11-20T14:35:00Z). Local time unless it names a zone.
    type: str
    default: ""
  table:
    description: Tell the changes of this table alone, or of the tables of this model or app. Empty for the tables of
      the business apps.
    type: str
    default: ""
  before_loss:
    description: A table or a model that has lost rows. The newest archive before the last loss is found.
    type: str
    default: ""
requirements:
  - boto3
  - gpg
  - ssh-keygen
extends_documentation_fragment:
  - checkniner_keyring
  - checkniner_store.required
  - checkniner_trust.required
  - checkniner_read_only
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Tell what changed in two days
  checkniner_timeline_info:
    s3:
      bucket: my-backups
    application: shop
    trust:
      known_origins: /home/me/inventory/known_origins
      host: server.example.org
    days: 2
  delegate_to: localhost

- name: Find the archive before orders were lost
  checkniner_timeline_info:
    s3:
      bucket: my-backups
    application: shop
    trust:
      known_origins: /home/me/inventory/known_origins
      host: server.example.org
    before_loss: shop.Order
  delegate_to: localhost
"""

RETURN = """
changes:
  description: >-
    The changes in the order of time, each with C(archive), its file name; C(created), the time of its data (ISO 8601,
    UTC); C(table), as C(schema.name); C(before) and C(after), its rows, or none where there is no table;
    C(difference); C(loss); C(business), whether the table is one of the business apps; C(previous), the file name of
    the archive before.
  returned: without O(before_loss)
  type: list
  elements: dict
lines:
  description: The same for people; with O(before_loss), which archive was chosen and why.
  returned: success
  type: list
  elements: str
since:
  description: From when on the changes are told, UTC, ISO 8601.
  returned: success
  type: str
key:
  description: The key of the newest archive before the last loss.
  returned: with O(before_loss)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.history.timeline import Archives, as_dicts
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_module import KEYRING, STORE, TRUST, gnupg_home_of, run, store_of, trust_of


def tell(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return what changed, or the archive before a loss."""
    given = module.params
    application = given["application"]
    archives = Archives(
        Store(store_of(module)), application, trust_of(module, application),
        days=given["days"], since=given["since"], gnupg_home=gnupg_home_of(module),
    )  # fmt: skip
    result = {"changed": False, "since": archives.since.isoformat()}
    if given["before_loss"]:
        chosen = archives.before_loss(given["before_loss"])
        return result | {"key": chosen.archive.key, "lines": list(chosen.told)}
    found = archives.timeline(given["table"])
    return result | {"changes": as_dicts(found.found), "lines": found.lines()}


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        **KEYRING,
        "trust": {**TRUST["trust"], "required": True},
        "application": {"type": "str", "required": True},
        "days": {"type": "float", "default": 7.0},
        "since": {"type": "str", "default": ""},
        "table": {"type": "str", "default": ""},
        "before_loss": {"type": "str", "default": ""},
    }
    run(tell, arguments, mutually_exclusive=[["table", "before_loss"]])


if __name__ == "__main__":
    main()
