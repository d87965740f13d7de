"""Documentation that several modules share: whose archives are taken."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  trust:
    description: Whose archives are taken. The manifest of each must be signed by this server.
    type: dict
    suboptions:
      known_origins:
        description: >-
          The file of keys that this machine knows, in OpenSSH's format of allowed signers. M(checkniner_known_origin)
          writes it.
        type: path
        required: true
      host:
        description: The server's name in the inventory.
        type: str
        required: true
      other_server:
        description: Take the archive of another server too, and of one whose key is not known.
        type: bool
        default: false
      unsigned:
        description: Take an archive without a signature too, of a release before 1.2 or made by hand.
        type: bool
        default: false
"""

    REQUIRED = DOCUMENTATION.replace("type: dict\n", "type: dict\n    required: true\n", 1)


"""With it, O(trust) is required."""
