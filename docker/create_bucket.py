"""Create the bucket of TANDEM_STORE__URI where there is none, and end when it takes objects; AWS_* say how."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PROBE = "ready"
OURS_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}  # whose it is shows when the probe is written


def create(bucket: str) -> None:
    """Make `bucket` exist and be writable. Raises boto3's errors after its retries, about half a minute."""
    client = boto3.client("s3", config=Config(connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 8}))
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in OURS_ALREADY:
            raise
    client.put_object(Bucket=bucket, Key=PROBE, Body=b"")  # a server may know a bucket before it has room for it
    client.delete_object(Bucket=bucket, Key=PROBE)


if __name__ == "__main__":
    name = urlsplit(os.environ["TANDEM_STORE__URI"]).netloc
    try:
        create(name)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"Bucket {name!r} cannot be used: {error}")
    print(f"Bucket {name!r} is ready.")
