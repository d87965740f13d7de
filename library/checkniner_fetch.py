#!/usr/bin/python
"""Ansible module: an archive comes from the store to this machine, as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_fetch
short_description: Download an archive, encrypted as it is
version_added: "1.0.0"
description:
  - Downloads one archive, by a presigned URL (on a server, which holds no credentials to read) or by its key (on
    the control machine).
  - A file that is there already and has the right SHA-256 stays.
options:
  key:
    description: The archive's key.
    type: str
    default: ""
  url:
    description: A presigned URL, instead of O(key).
    type: str
    default: ""
  ca_bundle:
    description: With O(url), a file of CA certificates on this machine.
    type: path
  path:
    description: Where to put it. The folder must exist.
    type: path
    required: true
  sha256:
    description: The SHA-256 that it must have, if that is known.
    type: str
    default: ""
  size:
    description: With O(url), its size in bytes, if that is known; what is larger is not fetched to its end.
    type: int
requirements:
  - boto3
extends_documentation_fragment:
  - checkniner_store
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Downloads nothing, and says whether it would.
  diff_mode:
    support: none
    description: Nothing of the target is edited.
"""

EXAMPLES = """
- name: Fetch an archive to the control machine
  checkniner_fetch:
    s3:
      bucket: my-backups
    key: db/2026-11-22T19:35:00.tar.gz.gpg
    path: /tmp/2026-11-22T19:35:00.tar.gz.gpg
  delegate_to: localhost
"""

RETURN = """
path:
  description: Where it is.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.errors import ArchiveError
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_backups.system.http import fetch_url
from ansible.module_utils.checkniner_module import STORE, run, store_of


def fetch(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, download the archive unless it is there; return its path."""
    path, sha256 = Path(module.params["path"]), module.params["sha256"]
    changed = not (sha256 and path.is_file() and digest_of(path) == sha256)
    if changed and not module.check_mode:
        if module.params["url"]:
            fetch_url(
                module.params["url"], path, limit=module.params["size"], ca_bundle=module.params["ca_bundle"] or ""
            )
        else:
            Store(store_of(module)).download(module.params["key"], path)
        if sha256 and digest_of(path) != sha256:
            path.unlink()
            raise ArchiveError(f"{path.name} is not what was uploaded", "fetch it again, or take another archive")
    return {"changed": changed, "path": str(path)}


def digest_of(path: Path) -> str:
    """Given a file, return its SHA-256 (hex)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        "key": {"type": "str", "default": "", "no_log": False},
        "url": {"type": "str", "default": "", "no_log": True},
        "ca_bundle": {"type": "path"},
        "path": {"type": "path", "required": True},
        "sha256": {"type": "str", "default": ""},
        "size": {"type": "int"},
    }
    run(fetch, arguments, mutually_exclusive=[["key", "url"]], required_one_of=[["key", "url"]])


if __name__ == "__main__":
    main()
