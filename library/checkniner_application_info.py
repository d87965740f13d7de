#!/usr/bin/python
"""Ansible module: which database the application uses."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = """
module: checkniner_application_info
short_description: Tell which database the application uses
version_added: "1.0.0"
description:
  - Reads the application's environment from its C(bin/activate) and returns where its database is.
  - No password is returned.
  - Runs as the application's owner.
requirements:
  - dj-database-url
extends_documentation_fragment:
  - checkniner_read_only
  - checkniner_environment
author:
  - The checkniner-backups authors
"""

EXAMPLES = """
- name: Look which database it is
  checkniner_application_info:
    environment_file: /etc/checkniner-backups/checkniner.env
"""

RETURN = """
database:
  description: The database's name.
  returned: success
  type: str
user:
  description: The role that the application logs in as.
  returned: success
  type: str
host:
  description: The server's host name or address; empty for the local socket.
  returned: success
  type: str
socket:
  description: The folder of the local socket, if the URL names one.
  returned: success
  type: str
port:
  description: The server's port, if the URL names one.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.checkniner_backups.django_app.sources import owner_dsn
from ansible.module_utils.checkniner_module import ENVIRONMENT, run, settings_of


def look(module: AnsibleModule) -> dict[str, Any]:
    """Given the module's arguments, return where the application's database is."""
    dsn, environment = owner_dsn(settings_of(module))
    return {
        "changed": False,
        "database": dsn.database,
        "user": dsn.user or environment["USER"],
        "host": dsn.host,
        "socket": dsn.host if dsn.host.startswith("/") else "",
        "port": dsn.port,
    }


def main() -> None:
    """Run the module."""
    run(look, dict(ENVIRONMENT))


if __name__ == "__main__":
    main()
