"""Documentation that several modules share: which fixtures are loaded, and what is taken all the same."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  apps:
    description: With fixtures, the apps to load; empty for all.
    type: list
    elements: str
    default: []
  other_migrations:
    description: Load fixtures although the application's migrations are not those of the archive.
    type: bool
    default: false
  other_rows:
    description: Load fixtures although rows of other apps that they refer to are other rows in the database.
    type: bool
    default: false
    version_added: "1.2.0"
"""
