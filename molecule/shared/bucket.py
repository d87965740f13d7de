"""What is in a bucket, as the operator sees it: `bucket.py FOLDER BUCKET` prints a JSON list of key, size and time.

FOLDER is the scenario's, which knows the store's address and keys. None of the engine's code has a part in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from botocore.config import Config


def main() -> None:
    """List the bucket's objects in the order of their keys."""
    store = json.loads((Path(sys.argv[1]) / "s3" / "endpoint.json").read_text())
    keys = store["identities"]["operator"]
    client = boto3.client(
        "s3",
        endpoint_url=store["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=sys.argv[2])
    objects = [item for page in pages for item in page.get("Contents", [])]
    entries = [{"key": item["Key"], "size": item["Size"], "time": str(item["LastModified"])} for item in objects]
    json.dump(sorted(entries, key=lambda entry: str(entry["key"])), sys.stdout)


if __name__ == "__main__":
    main()
