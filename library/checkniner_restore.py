#!/usr/bin/python
"""Ansible module: an archive's data go into a new database, and are proven."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_restore
short_description: Load an archive into a new database and prove it
version_added: "1.0.0"
description:
  - Loads SQL or fixtures of an archive into a database that M(checkniner_database) has made, and compares what is
    then there with the manifest. The running database is not touched.
  - With O(into_live), replaces the rows of some apps in the live database instead, as one transaction that is proven
    before it is committed.
  - Runs as the application's owner, over connections of the application's own role.
options:
  database:
    description: Name of the new database. Required without O(into_live).
    type: str
  into_live:
    description: Load fixtures into the live database.
    type: bool
    default: false
  compare:
    description: With O(into_live), first compare the apps' tables with the safety backup, once nobody can write them.
    type: bool
    default: true
  source:
    description: What to load.
    type: str
    choices: [sql, fixtures]
    required: true
  skip_settings:
    description: Leave out the settings that C(ALTER DATABASE) had made.
    type: bool
    default: false
requirements:
  - psycopg 3
  - psql
  - gpg
extends_documentation_fragment:
  - checkniner_fixtures
  - checkniner_archive
  - checkniner_environment
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Loads nothing.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: Load the archive
  checkniner_restore:
    environment_file: /etc/checkniner-backups/checkniner.env
    path: /var/lib/checkniner-backups/checkniner/restore/2026-11-22T19:35:00.tar.gz.gpg
    session_key: "{{ access.session_key }}"
    database: "{{ created.database }}"
    source: sql
"""

RETURN = """
proven:
  description: Whether what was loaded equals what the manifest says. Without a manifest it cannot be proven.
  returned: success
  type: bool
summary:
  description: What was proven, in a sentence.
  returned: success
  type: str
words:
  description: The former name of RV(summary).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.restore import sql as restore
from ansible.module_utils.checkniner_backups.restore.stages import RestoreOptions, plan_of
from ansible.module_utils.checkniner_backups.restore.workflow import replace_apps
from ansible.module_utils.checkniner_module import (
    ENVIRONMENT,
    FIXTURES,
    SOURCE,
    accepted_of,
    archive_of,
    run,
    settings_of,
)

NOTHING = "check mode: nothing was loaded"


def load(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, load the archive and return the verification."""
    settings, archive, given = settings_of(module), archive_of(module), module.params
    apps, accepted = tuple(given["apps"]), accepted_of(module)
    plan_of(RestoreOptions(given["source"], apps, into_live=given["into_live"]))  # refuses what does not go together
    if module.check_mode:
        return {"changed": True, "proven": False, "summary": NOTHING, "words": NOTHING}
    if given["into_live"]:
        verification = replace_apps(settings, archive, apps, compare=given["compare"], accepted=accepted)
    elif given["source"] == "sql":
        verification = restore.restore_sql(settings, archive, given["database"], skip_settings=given["skip_settings"])
    else:
        verification = restore.restore_fixtures(settings, archive, given["database"], apps, accepted=accepted)
    return {
        "changed": True,
        "proven": verification.proven,
        "summary": verification.summary,
        "words": verification.summary,
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **ENVIRONMENT,
        **SOURCE,
        **FIXTURES,
        "database": {"type": "str"},
        "into_live": {"type": "bool", "default": False},
        "compare": {"type": "bool", "default": True},
        "source": {"type": "str", "choices": ["sql", "fixtures"], "required": True},
        "skip_settings": {"type": "bool", "default": False},
    }
    run(load, arguments, required_if=[["into_live", False, ["database"]]])


if __name__ == "__main__":
    main()
