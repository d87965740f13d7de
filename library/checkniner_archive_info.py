#!/usr/bin/python
"""Ansible module: what is in an archive."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_archive_info
short_description: Tell what is in an archive, or that it is whole
version_added: "1.0.0"
description:
  - Opens an archive on this machine and returns what its manifest says. Reads only; no plaintext is written anywhere.
options:
  verify:
    description: Read all of it and compare every member with the manifest.
    type: bool
    default: false
  application:
    description: Name of the application whose archive it should be; required with O(trust).
    type: str
    default: ""
  key:
    description: With O(trust), the archive's key in the store, where it comes from there.
    type: str
    default: ""
  environment_file:
    description: The file of settings; with it, an archive of another application is refused.
    type: path
requirements:
  - zlib-ng
  - gpg
extends_documentation_fragment:
  - checkniner_read_only
  - checkniner_archive
  - checkniner_trust
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Prove that this machine can open an archive
  checkniner_archive_info:
    path: /tmp/2026-11-22T19:35:00.tar.gz.gpg
    verify: true
"""

RETURN = """
manifest:
  description: Whether the archive has a manifest. Those of the old scripts have none.
  returned: success
  type: bool
created:
  description: When its snapshot was taken, UTC, ISO 8601; empty without a manifest.
  returned: success
  type: str
application:
  description: Name of the application; empty without a manifest.
  returned: success
  type: str
origin:
  description: With O(trust), who made it, in words.
  returned: success
  type: str
asks:
  description: With O(trust), what C(restore.yml) has to be told to take the archive; empty where nothing.
  returned: success
  type: list
  elements: str
database:
  description: The manifest's metadata on the database; empty without a manifest.
  returned: success
  type: dict
members:
  description: Name, size in bytes and SHA-256 of each member that is known; all of them with O(verify).
  returned: success
  type: list
  elements: dict
tables:
  description: How many tables the manifest lists.
  returned: success
  type: int
rows:
  description: How many rows they have together.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.archive import file
from ansible.module_utils.checkniner_module import SOURCE, TRUST, archive_of, run, settings_of, trust_of


def look(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return what the archive holds."""
    archive = archive_of(module)
    trust = trust_of(module, module.params["application"]) if module.params["trust"] else None
    inspection = file.inspect(archive, verify=module.params["verify"], trust=trust, key=module.params["key"])
    if module.params["environment_file"]:
        file.check_application(settings_of(module), inspection)
    manifest = inspection.manifest
    return {
        "changed": False,
        "manifest": manifest is not None,
        "created": manifest.created.isoformat() if manifest else "",
        "application": manifest.application if manifest else "",
        "origin": str(inspection.origin) if inspection.origin else "",
        "asks": list(inspection.origin.asks) if inspection.origin else [],
        "database": inspection.database,
        "members": [{"name": each.name, "size": each.size, "sha256": each.sha256} for each in inspection.members],
        "tables": len(manifest.tables) if manifest else 0,
        "rows": sum(table["rows"] for table in manifest.tables) if manifest else 0,
    }


def main() -> None:
    """Run the module."""
    arguments = {
        **SOURCE,
        **TRUST,
        "verify": {"type": "bool", "default": False},
        "application": {"type": "str", "default": ""},
        "key": {"type": "str", "default": "", "no_log": False},
        "environment_file": {"type": "path"},
    }
    run(look, arguments, required_by={"trust": ["application"]})


if __name__ == "__main__":
    main()
