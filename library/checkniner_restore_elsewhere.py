#!/usr/bin/python
"""Ansible module: fixtures of an archive into a database elsewhere."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_restore_elsewhere
short_description: Load fixtures of an archive into another, empty database, and prove them
version_added: "1.0.0"
description:
  - Migrates the database of O(url), loads fixtures into it in one transaction, and has the application dump them again
    to compare. Any database that Django speaks to will do, such as C(sqlite:////home/me/copy.db).
  - Uses the application's code on a server, with O(environment_file) and as its owner; or a checkout of it on the
    control machine, with O(application_path) and O(virtualenv).
  - A database that holds tables is refused.
options:
  environment_file:
    description: The file of settings that the role has written, on a server.
    type: path
  name:
    description: Name of the application whose archive it must be, with O(application_path).
    type: str
  url:
    description: URL of the database to fill, as the application understands C(DATABASE_URL).
    type: str
    required: true
requirements:
  - dj-database-url
  - gpg
extends_documentation_fragment:
  - checkniner_checkout
  - checkniner_fixtures
  - checkniner_archive
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
- name: A development copy on this machine
  checkniner_restore_elsewhere:
    name: checkniner
    application_path: /home/me/src/checkniner
    virtualenv: /home/me/src/checkniner/venv
    path: /tmp/2026-11-22T19:35:00.tar.gz.gpg
    url: sqlite:////home/me/src/checkniner/copy.db
  delegate_to: localhost
"""

RETURN = """
proven:
  description: Whether what was loaded equals what is in the archive. Without a manifest it cannot be proven.
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
from ansible.module_utils.checkniner_backups.restore import other_database
from ansible.module_utils.checkniner_module import (
    CHECKOUT,
    FIXTURES,
    SOURCE,
    accepted_of,
    archive_of,
    code_of,
    run,
    settings_of,
)

NOTHING = "check mode: nothing was loaded"


def load(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, fill the database and return the verification."""
    given, archive = module.params, archive_of(module)
    if module.check_mode:
        return {"changed": True, "proven": False, "summary": NOTHING, "words": NOTHING}
    options: dict[str, Any] = {"apps": given["apps"], "accepted": accepted_of(module)}
    code = code_of(module)
    if code is None:
        verification = other_database.from_server(settings_of(module), archive, given["url"], **options)
    else:
        verification = other_database.from_checkout(given["name"], code, archive, given["url"], **options)
    return {
        "changed": True,
        "proven": verification.proven,
        "summary": verification.summary,
        "words": verification.summary,
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **SOURCE,
        **CHECKOUT,
        **FIXTURES,
        "environment_file": {"type": "path"},
        "name": {"type": "str"},
        "url": {"type": "str", "required": True, "no_log": True},
    }
    run(
        load,
        arguments,
        required_one_of=[["environment_file", "application_path"]],
        mutually_exclusive=[["environment_file", "application_path"]],
        required_together=[["application_path", "virtualenv", "name"]],
    )


if __name__ == "__main__":
    main()
