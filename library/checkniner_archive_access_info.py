#!/usr/bin/python
"""Ansible module: what a server needs to read one archive, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_archive_access_info
short_description: Get the session key of one archive, and a URL to fetch it
version_added: "1.0.0"
description:
  - Asks the operator's gpg-agent for the session key of one archive. With it a server can decrypt this archive; the
    private key stays on the control machine, and so do the operator's S3 keys.
  - The key is given only if what it opens is an archive of this application that O(trust) takes.
  - Both results are secrets. Use C(no_log) on the task.
options:
  application:
    description: The application's name, as in the archive's manifest.
    type: str
    required: true
  key:
    description: The archive's key in the store.
    type: str
    default: ""
  path:
    description: Path of an archive on this machine, instead of O(key).
    type: path
  url_seconds:
    description: How long the URL is good for.
    type: int
    default: 3600
  recipients:
    description: Fingerprints of the keys that the inventory encrypts to; they are named where no private key is found.
    type: list
    elements: str
    default: []
    version_added: "1.2.0"
requirements:
  - boto3
  - python-gnupg
  - gpg
  - ssh-keygen
extends_documentation_fragment:
  - checkniner_keyring
  - checkniner_read_only
  - checkniner_store
  - checkniner_trust.required
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Ask the operator's agent for the key of this archive
  checkniner_archive_access_info:
    s3:
      bucket: my-backups
    application: checkniner
    key: db/2026-11-22T19:35:00.tar.gz.gpg
    trust:
      known_origins: /home/me/inventory/known_origins
      host: server.example.org
  delegate_to: localhost
  no_log: true
"""

RETURN = """
session_key:
  description: The session key; empty for an archive that is not encrypted.
  returned: success
  type: str
url:
  description: A URL that anybody can GET the archive from for a while; empty with O(path).
  returned: success
  type: str
manifest_sha256:
  description: SHA-256 of its manifest, for the server to compare; empty for an archive without one.
  returned: success
  type: str
created:
  description: When its snapshot was taken, UTC, ISO 8601; empty without a manifest.
  returned: success
  type: str
origin:
  description: Who made it, in words.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.archive.file import check_beginning, is_plain
from ansible.module_utils.checkniner_backups.openpgp.keyring import session_key
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_module import KEYRING, STORE, TRUST, gnupg_home_of, run, store_of, trust_of

HEAD = 1 << 20
"""Bytes that are fetched: the packet of the session key stands at the very beginning, and then the manifest."""


def access(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return the session key and the URL."""
    key, path = module.params["key"], module.params["path"]
    url = ""
    if path:
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
    else:
        store = Store(store_of(module))
        head = store.read_head(key, HEAD)
        url = store.presigned_url(key, module.params["url_seconds"])
    plain = is_plain(head, Path(path or key).name)
    found = "" if plain else session_key(head, gnupg_home_of(module), expected=module.params["recipients"])
    application = module.params["application"]
    beginning = check_beginning(head, found, application, trust_of(module, application), key)
    return {
        "changed": False,
        "session_key": found,
        "url": url,
        "manifest_sha256": beginning.manifest_sha256,
        "created": beginning.created,
        "origin": str(beginning.origin),
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        **KEYRING,
        "trust": {**TRUST["trust"], "required": True},
        "application": {"type": "str", "required": True},
        "key": {"type": "str", "default": "", "no_log": False},
        "path": {"type": "path"},
        "url_seconds": {"type": "int", "default": 3600},
        "recipients": {"type": "list", "elements": "str", "default": []},
    }
    run(access, arguments, mutually_exclusive=[["key", "path"]], required_one_of=[["key", "path"]])


if __name__ == "__main__":
    main()
