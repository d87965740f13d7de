"""Documentation that several modules share: a checkout of the application."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  application_path:
    description: A checkout of the application on this machine.
    type: path
  virtualenv:
    description: The application's virtualenv on this machine.
    type: path
  environment:
    description: Variables that the application needs, besides those of the virtualenv's C(bin/activate).
    type: dict
    default: {}
"""
