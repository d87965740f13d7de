"""Documentation that several modules share: an archive that is restored into a throwaway server."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  archive:
    description: V(latest), or a key.
    type: str
    default: latest
  at:
    description: The newest archive at or before this time.
    type: str
    default: ""
  allowed_extensions:
    description: Extensions that only a superuser may create, and that may be created all the same.
    type: list
    elements: str
    default: []
  skip_settings:
    description: Leave out the settings that C(ALTER DATABASE) had made.
    type: bool
    default: false
requirements:
  - boto3
  - gpg
  - PostgreSQL's server programs
  - psycopg 3
  - python-gnupg
  - ssh-keygen
"""
