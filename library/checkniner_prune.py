#!/usr/bin/python
"""Ansible module: old archives leave the store."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_prune
short_description: Remove old archives from the store, by a policy
version_added: "1.2.0"
description:
  - Keeps all archives of some days, then the last one of each day, week, month and year, counted back from the newest
    archive. Removes the others from the store, with their older versions where the bucket has versions.
  - Never removes the newest archive, the newest one that a drill has proven, what Object Lock or a legal hold keeps,
    the last archive seen that a key opens, or an archive whose name is ahead of the store's time.
  - Safety backups go when all archives of their time may be thinned out, the newest never; records of drills and
    rehearsals and files of the history go with the archives of their time, the newest good record never.
  - Runs on the control machine, with S3 keys that may remove. Nothing is connected to but the store.
options:
  keep_all_days:
    description: Days of which every archive stays. V(-1) keeps all there are, here and in the other numbers.
    type: int
    default: 30
  keep_daily:
    description: Days of which the last archive stays.
    type: int
    default: 180
  keep_weekly:
    description: Weeks, from Monday on, of which the last archive stays.
    type: int
    default: 52
  keep_monthly:
    description: Months of which the last archive stays.
    type: int
    default: 36
  keep_yearly:
    description: Years of which the last archive stays.
    type: int
    default: -1
  most_percent:
    description: More than this share of the archives goes only with O(agreed).
    type: int
    default: 50
  agreed:
    description: Whether somebody has looked at what goes, and agreed to any share of it.
    type: bool
    default: false
  ping_success_url:
    description:
      - Asked for (GET) when everything that was to go is gone, and where nothing was.
      - C({status}), C({exit}), C({rid}), C({ms}) and C({message}) in it are replaced.
    type: str
    default: ""
  ping_failure_url:
    description: The same where the prune failed.
    type: str
    default: ""
requirements:
  - boto3
extends_documentation_fragment:
  - checkniner_store.required
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says what would go, and why the rest stays.
  diff_mode:
    support: full
    description: Shows what is in the store before and after, each archive that stays with the reason.
"""

EXAMPLES = """
- name: Remove old archives from the store
  checkniner_prune:
    s3:
      bucket: my-backups
    keep_all_days: 30
    keep_daily: 180
  delegate_to: localhost
"""

RETURN = """
lines:
  description: What was done, or would be, in a few lines for people.
  returned: success
  type: list
  elements: str
removed:
  description: Keys of the archives that were removed (in check mode, would be), oldest first.
  returned: success
  type: list
  elements: str
kept:
  description: For each archive that stays, its key and the reason, newest first.
  returned: success
  type: dict
freed:
  description:
    - Bytes that the store holds less, older versions, records and the history among them.
    - In check mode, without older versions.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.monitoring.events import PRUNE
from ansible.module_utils.checkniner_backups.pruning import prune as pruning
from ansible.module_utils.checkniner_backups.pruning import report
from ansible.module_utils.checkniner_backups.pruning.policy import Policy
from ansible.module_utils.checkniner_backups.storage.removal import Removal
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_module import PINGS, STORE, Done, run, store_of, told

NUMBERS = ("keep_all_days", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "most_percent")


def prune(module: AnsibleModule) -> Done:
    """Given the module's arguments, remove old archives and return what was done."""
    policy = Policy(**{name: module.params[name] for name in NUMBERS})
    settings = store_of(module)
    store, removal = Store(settings), Removal(settings)
    intent = pruning.intend(store, policy, removal)
    result: dict[str, Any] = {
        "changed": bool(intent.sizes),
        "kept": {archive.key: reason for archive, reason in intent.plan.stays.items()},
        "diff": report.listing(intent),
    }
    if module.check_mode:
        result |= {"removed": [each.key for each in intent.plan.goes], "freed": sum(intent.sizes.values())}
        return Done(result | {"lines": report.intended(intent, policy)}, "")
    pruning.check_share(intent, policy, agreed=module.params["agreed"])
    done = pruning.prune(store, removal, intent)
    lines = report.done(done)
    return Done(result | {"lines": lines, "removed": done.archives, "freed": done.removed.freed}, lines[0])


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        **PINGS,
        "keep_all_days": {"type": "int", "default": 30},
        "keep_daily": {"type": "int", "default": 180},
        "keep_weekly": {"type": "int", "default": 52},
        "keep_monthly": {"type": "int", "default": 36},
        "keep_yearly": {"type": "int", "default": -1},
        "most_percent": {"type": "int", "default": 50},
        "agreed": {"type": "bool", "default": False},
    }
    run(lambda module: told(module, PRUNE, prune), arguments)


if __name__ == "__main__":
    main()
