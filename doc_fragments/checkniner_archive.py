"""Documentation that several modules share: an archive on the machine, and what opens it."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  path:
    description: The archive on this machine.
    type: path
    required: true
  session_key:
    description: The session key that opens it. Without one, the keyring of whoever runs this is asked.
    type: str
    default: ""
  manifest_sha256:
    description: >-
      SHA-256 of the manifest whose signature was checked elsewhere; an archive with another manifest is refused.
    type: str
    default: ""
  gnupg_home:
    description: The GNUPGHOME to ask, if it is not the usual one.
    type: path
"""
