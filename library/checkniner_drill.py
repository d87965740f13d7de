#!/usr/bin/python
"""Ansible module: rehearse the restore of stored archives."""

from __future__ import annotations

from dataclasses import asdict

DOCUMENTATION = """
module: checkniner_drill
short_description: Restore stored archives into a throwaway database, compare, and record what came of it
version_added: "1.0.0"
description:
  - Restores an archive twice, from SQL and from fixtures, into a throwaway PostgreSQL server on this machine. Compares
    both with the manifest and with each other, and stores the result below C(drills/) of the prefix.
  - Runs on the control machine, which holds the private key. Nothing is connected to but the store.
  - Run as root, the server and everything that is loaded run as the owner of O(application_path), or else as
    C(postgres) or C(nobody).
options:
  name:
    description: Name of the application whose archives these are.
    type: str
    required: true
  count:
    description: So many random archives instead.
    type: int
    default: 0
  ping_success_url:
    description:
      - Asked for (GET) when every archive was good.
      - C({status}), C({exit}), C({rid}), C({ms}) and C({message}) in it are replaced.
    type: str
    default: ""
    aliases: [watchdog_url]
  ping_failure_url:
    description: The same where not every archive was good, or the drill failed.
    type: str
    default: ""
extends_documentation_fragment:
  - checkniner_checkout
  - checkniner_keyring
  - checkniner_store.required
  - checkniner_trial
  - checkniner_trust.required
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says which archives would be drilled.
  diff_mode:
    support: none
    description: Nothing is edited.
"""

EXAMPLES = """
- name: Rehearse the restore of the newest archive
  checkniner_drill:
    s3:
      bucket: my-backups
    name: checkniner
    trust:
      known_origins: /home/me/inventory/known_origins
      host: server.example.org
    application_path: /home/me/src/checkniner
    virtualenv: /home/me/src/checkniner/venv
  delegate_to: localhost
"""

RETURN = """
good:
  description: Whether every archive was restored and proven.
  returned: success
  type: bool
results:
  description: >-
    For each archive its key, the verdict (V(good), V(not proven), V(bad)), what was found out of SQL, fixtures and
    both, the seconds that it took, and the key of its record.
  returned: success
  type: list
  elements: dict
table:
  description: The same as lines of a table.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.drill import drill
from ansible.module_utils.checkniner_backups.drill import record as drill_record
from ansible.module_utils.checkniner_backups.errors import VerificationError
from ansible.module_utils.checkniner_backups.monitoring.events import DRILL
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_backups.system.text import table
from ansible.module_utils.checkniner_module import (
    CHECKOUT,
    KEYRING,
    PINGS,
    STORE,
    TRIAL,
    TRUST,
    Done,
    code_of,
    gnupg_home_of,
    run,
    store_of,
    told,
    trust_of,
)

HEAD = ["ARCHIVE", "VERDICT", "TOOK", "WHAT"]


def run_drills(module: AnsibleModule) -> Done:
    """Given the module's arguments, drill and return the results."""
    given = module.params
    extensions, trust = tuple(given["allowed_extensions"]), trust_of(module, given["name"])
    plan = drill.Plan(given["name"], code_of(module), gnupg_home_of(module), extensions, given["skip_settings"], trust)
    store = Store(store_of(module))
    archives = drill.choose_archives(store, given["archive"], given["at"], given["count"])
    if module.check_mode:
        would = [f"would drill {each.key}" for each in archives]
        return Done({"changed": True, "good": False, "results": [], "table": would}, "")
    found = list(drill.run_drills(store, archives, plan))
    good = all(each.result.verdict == drill_record.GOOD and each.record for each in found)
    result = {
        "changed": True,
        "good": good,
        "results": [{**asdict(each.result), "record": each.record} for each in found],
        "table": table(drill_record.rows(found), HEAD).splitlines(),
    }
    failure = None if good else VerificationError("an archive could not be restored and proven")
    return Done(result, f"{len(found)} archives were restored and proven", failure)


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        **CHECKOUT,
        **KEYRING,
        **PINGS,
        **TRIAL,
        "trust": {**TRUST["trust"], "required": True},
        "name": {"type": "str", "required": True},
        "count": {"type": "int", "default": 0},
        "ping_success_url": {**PINGS["ping_success_url"], "aliases": ["watchdog_url"]},
    }
    code = [["application_path", "virtualenv"]]
    run(lambda module: told(module, DRILL, run_drills), arguments, required_together=code)


if __name__ == "__main__":
    main()
