"""Upload standard input under the key that is given: what the shell scripts beside this one use."""

import os
import sys

import boto3

boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], region_name="us-east-1").upload_fileobj(
    sys.stdin.buffer, os.environ["S3_BUCKET_NAME"], sys.argv[1]
)
