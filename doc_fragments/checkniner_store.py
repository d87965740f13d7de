"""Documentation that several modules share: where archives are, for a machine without an environment file."""

from __future__ import annotations


class ModuleDocFragment:
    """Read by `ansible-doc`, for modules with `extends_documentation_fragment`."""

    DOCUMENTATION = """
options:
  s3:
    description: Where archives are. Without keys, boto3's default chain of credentials is used.
    type: dict
    suboptions:
      bucket:
        description: The bucket.
        type: str
        required: true
      prefix:
        description: What keys begin with.
        type: str
        default: db/
      access_key:
        description: Credentials that may list and get.
        type: str
        default: ""
      secret_key:
        description: Their secret half.
        type: str
        default: ""
      endpoint_url:
        description: The store's address, if it is not Amazon's.
        type: str
        default: ""
      region:
        description: The store's region.
        type: str
        default: ""
      addressing_style:
        description: How the bucket stands in the address.
        type: str
        default: auto
        choices: [auto, path, virtual]
      checksums:
        description: V(when_required) for old stores that do not know boto3's checksums.
        type: str
        default: when_supported
        choices: [when_supported, when_required]
      ca_bundle:
        description: A file of CA certificates.
        type: str
        default: ""
"""

    REQUIRED = DOCUMENTATION.replace("type: dict\n", "type: dict\n    required: true\n", 1)
