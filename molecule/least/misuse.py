"""What a thief of the server's S3 keys could do: tries it, and prints a JSON object of what the store answered.

Runs on the server in the environment of the backups, as the thief would. The first argument is a key of an archive.
"""

from __future__ import annotations

import json
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main() -> None:
    """Try to read back, delete and overwrite."""
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["CHECKNINER_BACKUPS_S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["S3_SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )
    where = {"Bucket": os.environ["S3_BUCKET_NAME"], "Key": sys.argv[1]}
    attempts = {
        "list": lambda: client.list_objects_v2(Bucket=where["Bucket"]),
        "get": lambda: client.get_object(**where),
        "delete": lambda: client.delete_object(**where),
        "delete several": lambda: client.delete_objects(
            Bucket=where["Bucket"], Delete={"Objects": [{"Key": where["Key"]}]}
        )["Errors"][0],
        "stop versioning": lambda: client.put_bucket_versioning(
            Bucket=where["Bucket"], VersioningConfiguration={"Status": "Suspended"}
        ),
        "delete bucket": lambda: client.delete_bucket(Bucket=where["Bucket"]),
        "overwrite": lambda: client.put_object(**where, Body=b"nothing"),
    }
    answers = {}
    for name, attempt in attempts.items():
        try:
            answers[name] = attempt().get("Code", "done")
        except ClientError as error:
            answers[name] = error.response["Error"]["Code"]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
