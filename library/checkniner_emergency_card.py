#!/usr/bin/python
"""Ansible module: the control machine keeps the emergency card of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCUMENTATION = """
module: checkniner_emergency_card
short_description: Write the emergency card of a server
version_added: "1.2.0"
description:
  - Writes one page, as text and as HTML, that says where the backups of an application are, what opens them, and what
    to type to restore them, with the names of this site. The page holds no secret.
  - Asks the store for the last drill in which an archive was restored and proven; where the store cannot be asked, the
    page says so.
  - Runs on the control machine.
options:
  path:
    description: The folder of the cards. It is made if it is missing; its own folder must exist.
    type: path
    required: true
  application:
    description: Name of the application.
    type: str
    required: true
  host:
    description: The server's name in the inventory.
    type: str
    required: true
  address:
    description: The server's address for C(ssh).
    type: str
    required: true
  owner:
    description: The system user that the application runs as.
    type: str
    required: true
  archives_path:
    description: The folder of the archives on the server.
    type: str
    required: true
  recipients:
    description: Fingerprints of the keys that archives are encrypted to; empty where they are not encrypted.
    type: list
    elements: str
    default: []
  database:
    description: Name of the live database.
    type: str
    required: true
  role:
    description: The role that owns the database.
    type: str
    required: true
  variables:
    description: Variables of the inventory that the card shows, without secrets.
    type: dict
    default: {}
extends_documentation_fragment:
  - checkniner_store
author:
  - The checkniner-backups authors
attributes:
  check_mode:
    support: full
    description: Says whether the card would change.
  diff_mode:
    support: full
    description: Shows how the text changes.
"""

EXAMPLES = """
- name: Write the emergency card
  checkniner_emergency_card:
    path: /home/me/inventory/emergency-cards
    application: checkniner
    host: server.example.org
    address: server.example.org
    owner: checkniner
    archives_path: /var/lib/checkniner-backups/checkniner/archives
    recipients: [0123456789ABCDEF0123456789ABCDEF01234567]
    database: checkniner
    role: checkniner
    s3:
      bucket: my-checkniner-backups
  delegate_to: localhost
"""

RETURN = """
text:
  description: Path of the page as text.
  returned: success
  type: str
html:
  description: Path of the page as HTML.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.drill.record import last_good_result
from ansible.module_utils.checkniner_backups.emergency.card import Site, as_html, as_text
from ansible.module_utils.checkniner_backups.errors import DiskError, StoreError, printable
from ansible.module_utils.checkniner_backups.openssh.known_origins import identity
from ansible.module_utils.checkniner_backups.storage.s3 import Store
from ansible.module_utils.checkniner_backups.system.files import write_durably
from ansible.module_utils.checkniner_module import STORE, run, store_of


def write_card(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, write the card where it says something else than before."""
    given = module.params
    store = store_of(module)
    site = Site(
        name=given["application"], host=given["host"], address=given["address"], owner=given["owner"],
        archives_path=given["archives_path"], bucket=store.bucket, prefix=store.prefix,
        endpoint_url=store.endpoint_url, region=store.region, recipients=given["recipients"],
        identity=identity(given["application"], given["host"]), database=given["database"], role=given["role"],
        variables=given["variables"], drilled=_drilled(Store(store)),
    )  # fmt: skip
    folder = Path(given["path"])
    name = f"{given['host']}-{given['application']}".replace("/", "_")
    text, page = folder / f"{name}.txt", folder / f"{name}.html"
    before, after, html = _read(text), as_text(site), as_html(site)
    changed = before != after or _read(page) != html
    if changed and not module.check_mode:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise DiskError.at(folder, error) from None
        write_durably(text, after.encode())
        write_durably(page, html.encode())
    diff = {"before": before, "after": after, "before_header": str(text), "after_header": str(text)}
    return {"changed": changed, "text": str(text), "html": str(page), "diff": diff}


def _drilled(store: Store) -> str:
    try:
        last = last_good_result(store)
    except StoreError as error:
        return f"The last drill is not known: {printable(error.message)}."
    return printable(last.sentence())[:300] if last else ""


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def main() -> None:
    """Run the module."""
    arguments = {
        **STORE,
        "path": {"type": "path", "required": True},
        "application": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "owner": {"type": "str", "required": True},
        "archives_path": {"type": "str", "required": True},
        "database": {"type": "str", "required": True},
        "role": {"type": "str", "required": True},
        "recipients": {"type": "list", "elements": "str", "default": []},
        "variables": {"type": "dict", "default": {}},
    }
    run(write_card, arguments)


if __name__ == "__main__":
    main()
