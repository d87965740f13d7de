"""Documentation that several modules share: what reads only."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Reads only.
"""
