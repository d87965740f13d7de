#!/usr/bin/python
"""Ansible module: which archives the store holds."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_stored_archives_info
short_description: List the archives in the store
version_added: "1.2.0"
description:
  - Lists the archives of one server, newest first, with the longest time without one, and the drills and rehearsals
    that are on record, and which keys they need where these differ. Reads only, and downloads no archive but the first
    bytes of some.
  - Runs on the control machine, with the operator's credentials. No server is connected to.
options:
  count:
    description: How many archives to list at most.
    type: int
    default: 20
  start:
    description: No archives before this time, such as V(2026-11-20), V(2026-11-20T14:35) or V(2026-11-20T14:35:00Z).
      Local time unless it names a zone. Empty for no bound.
    type: str
    default: ""
  end:
    description: No archives after this time, in the same forms; a day counts to its end. Empty for no bound.
    type: str
    default: ""
requirements:
  - boto3
extends_documentation_fragment:
  - checkniner_read_only
  - checkniner_store.required
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: List the newest archives
  checkniner_stored_archives_info:
    s3:
      bucket: my-backups
  delegate_to: localhost

- name: List the archives of a week
  checkniner_stored_archives_info:
    s3:
      bucket: my-backups
    start: 2026-11-16
    end: 2026-11-22
    count: 1000
  delegate_to: localhost
"""

RETURN = """
stored:
  description: >-
    C(archives), each with C(key), C(name), C(stamp) (ISO 8601, UTC), C(size) in bytes and C(age) in seconds;
    C(more), whether older ones were left out; C(gap), the longest time without an archive among these, with C(start),
    C(end) and C(seconds), or none; C(trials), the drills and rehearsals on record, each with C(at), C(kind) and
    C(verdict); C(opened), where not all of these need the same keys: which ones, each with C(first) and C(last), the
    times between which archives need one of C(keys);
    C(ahead), keys of archives whose time is in the future, which no server with a right clock has made;
    C(asked_at), when the store was asked; C(end), up to when; C(newest), whether the first archive is the newest of
    all.
  returned: success
  type: dict
table:
  description: The same as lines for people.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.overview.stored import look
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_module import STORE, run, store_of


def list_archives(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return what the store holds."""
    given = module.params
    found = look(Store(store_of(module)), given["count"], given["start"], given["end"])
    return {"changed": False, "stored": found.as_dict(), "table": found.lines(given["count"])}


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        "count": {"type": "int", "default": 20},
        "start": {"type": "str", "default": ""},
        "end": {"type": "str", "default": ""},
    }
    run(list_archives, arguments)


if __name__ == "__main__":
    main()
