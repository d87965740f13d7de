"""Documentation that several modules share: the file of settings that the role writes."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  environment_file:
    description: The file of settings that the role has written.
    type: path
    required: true
"""
