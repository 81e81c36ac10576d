"""Build the boto3 client of a store: credentials from AWS_* variables only, short timeouts, few retries."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from pipelines.errors import StoreError

_CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",  # set by Kubernetes for a service account with a role
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def make_client(bucket: str, endpoint_url: str | None) -> Any:
    """Return a client for S3, without asking the server anything. It is safe between threads, not between processes.

    Raises `StoreError` when no AWS_* variable says which credentials to use: boto3 would else look for them in the
    user's home folder and on the network.
    """
    if not any(os.environ.get(name) for name in _CREDENTIAL_VARIABLES):
        raise StoreError(
            f"There are no credentials for bucket {bucket!r} at {endpoint_url or 'Amazon S3'}: set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY. Nothing was opened."
        )
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=16,
        tcp_keepalive=True,
        s3={"addressing_style": "path" if endpoint_url else "auto"},  # other servers have no host name for each bucket
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        return boto3.session.Session().client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:  # half of a pair of credentials; an endpoint that is no URL
        raise StoreError(f"Cannot use bucket {bucket!r} at {endpoint_url or 'Amazon S3'}: {error}") from error
