"""Documentation that several modules share: the keyring that holds the private key."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  gnupg_home:
    description: The operator's GNUPGHOME, if it is not the usual one.
    type: path
"""
