#!/usr/bin/python
"""Ansible module: import a public key into the keyring of the backups."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_public_key
short_description: Import a public key that backups are encrypted to
version_added: "1.0.0"
description:
  - Imports one GPG public key into a keyring, and makes sure that one can encrypt to it now.
  - Refuses a key of another fingerprint, a private key, and a key that is expired, revoked or cannot encrypt; then
    the keyring is left as it was.
options:
  home:
    description: The keyring's folder (GNUPGHOME). It is made with mode 0700 if it is missing.
    type: path
    required: true
  key:
    description: The public key, as armoured text.
    type: str
    required: true
  fingerprint:
    description: The full fingerprint that the key must have.
    type: str
    required: true
requirements:
  - python-gnupg
  - gpg
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says what would be imported.
  diff_mode:
    support: full
    description: Shows the fingerprint that is added.
"""

EXAMPLES = """
- name: Import the public key of the backups
  checkniner_public_key:
    home: /var/lib/checkniner-backups/checkniner/gnupg
    key: "{{ lookup('ansible.builtin.file', 'backups-public.asc') }}"
    fingerprint: 0123456789ABCDEF0123456789ABCDEF01234567
"""

RETURN = """
fingerprint:
  description: The key's fingerprint.
  returned: success
  type: str
user_ids:
  description: The names on the key.
  returned: success
  type: list
  elements: str
expires:
  description: When one can encrypt to it no longer, as ISO 8601 in UTC; empty if never.
  returned: success
  type: str
days_left:
  description: Days until then; empty if it never expires.
  returned: success
  type: float
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.openpgp import keyring as gpg
from ansible.module_utils.checkniner_module import run


def import_key(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, import the key and return what it is and whether the keyring changed."""
    text, fingerprint, home = module.params["key"], module.params["fingerprint"], Path(module.params["home"])
    # First into a keyring that is thrown away: a key that cannot encrypt must not get into the real one.
    with tempfile.TemporaryDirectory(prefix="checkniner-") as scratch:
        trial = gpg.Keyring(Path(scratch))
        trial.import_public_key(text, fingerprint)
        status = trial.usable_for_encryption(fingerprint)
    changed = gpg.Keyring(home).import_public_key(text, fingerprint, dry_run=module.check_mode)
    return {
        "changed": changed,
        "fingerprint": status.fingerprint,
        "user_ids": list(status.user_ids),
        "expires": status.expires.isoformat() if status.expires else "",
        "days_left": status.days_left,
        "diff": {"before": "", "after": f"public key {status.fingerprint}\n" if changed else ""},
    }


def main() -> None:
    """Run the module."""
    arguments = {
        "home": {"type": "path", "required": True},
        "key": {"type": "str", "required": True, "no_log": False},
        "fingerprint": {"type": "str", "required": True},
    }
    run(import_key, arguments)


if __name__ == "__main__":
    main()
