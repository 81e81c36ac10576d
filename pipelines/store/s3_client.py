"""Build the boto3 client of a store: credentials from AWS_* variables only, short timeouts, few retries."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
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

_one_at_a_time = threading.Lock()


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
        with _one_at_a_time:  # a session makes clients for one thread only
            session = _session(tuple(item for item in os.environ.items() if item[0].startswith("AWS_")))
            return session.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:  # half of a pair of credentials; an endpoint that is no URL
        raise StoreError(f"Cannot use bucket {bucket!r} at {endpoint_url or 'Amazon S3'}: {error}") from error


@lru_cache(maxsize=1)
def _session(variables: tuple[tuple[str, str], ...]) -> Any:
    """Return a session for these AWS_* variables; a new one parses the description of S3 anew, which takes 0.2 s."""
    return boto3.session.Session()
