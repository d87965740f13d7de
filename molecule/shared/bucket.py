"""A bucket as the operator sees it: `bucket.py FOLDER BUCKET [list|versions|keep-versions|copy KEY NEW-KEY]`.

`list` prints a JSON list of key, size and time; `versions` the same of all versions; `keep-versions` switches the
bucket's versioning on. FOLDER is the scenario's, which knows the store's address and keys. None of the engine's code
has a part in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config


def connect(folder: Path) -> Any:
    """Given the scenario's folder, return an S3 client of the operator."""
    store = json.loads((folder / "s3" / "endpoint.json").read_text())
    keys = store["identities"]["operator"]
    return boto3.client(
        "s3",
        endpoint_url=store["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )


def entries(client: Any, bucket: str, method: str, member: str) -> list[dict[str, Any]]:
    """Given a listing method and the member that holds its results, return what it lists, in the order of the keys."""
    pages = client.get_paginator(method).paginate(Bucket=bucket)
    found = [item for page in pages for item in page.get(member, [])]
    told = [{"key": item["Key"], "size": item["Size"], "time": str(item["LastModified"])} for item in found]
    return sorted(told, key=lambda entry: (entry["key"], entry["time"]))


def main() -> None:
    """Do what the command line says."""
    folder, bucket, *rest = sys.argv[1:]
    client = connect(Path(folder))
    match rest:
        case [] | ["list"]:
            json.dump(entries(client, bucket, "list_objects_v2", "Contents"), sys.stdout)
        case ["versions"]:
            json.dump(entries(client, bucket, "list_object_versions", "Versions"), sys.stdout)
        case ["keep-versions"]:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        case ["copy", key, new]:
            client.copy_object(Bucket=bucket, Key=new, CopySource={"Bucket": bucket, "Key": key})
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
