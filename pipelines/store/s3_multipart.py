"""Send a large file to S3 in parts, each with its checksum, and leave no part behind."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.errors import StoreError

_MOST_PARTS = 10_000  # S3's own bound
_THREADS = 4


def upload_in_parts(client: Any, target: dict[str, str], path: Path, part_bytes: int, metadata: dict[str, str]) -> str:
    """Upload the file and return the ETag of the whole object.

    Holds four parts in memory: 4 * `part_bytes`, and more only for files above 10,000 parts.

    Args:
        client: A boto3 S3 client.
        target: `Bucket` and `Key`.
        path: The local file.
        part_bytes: Size of a part; S3 asks for 5 MiB or more.
        metadata: Stored with the object.

    Raises:
        StoreError: If the file became shorter meanwhile.
        ClientError, BotoCoreError: As boto3 raises them; the parts sent so far were then thrown away, if S3 could still
            be reached.
    """
    size_bytes = path.stat().st_size
    part_bytes = max(part_bytes, math.ceil(size_bytes / _MOST_PARTS))
    num_parts = math.ceil(size_bytes / part_bytes)
    answer = client.create_multipart_upload(**target, ChecksumAlgorithm="SHA256", Metadata=metadata)
    upload = {**target, "UploadId": answer["UploadId"]}

    def send(number: int) -> dict[str, Any]:
        data = _read_part(path, (number - 1) * part_bytes, min(part_bytes, size_bytes - (number - 1) * part_bytes))
        sent = client.upload_part(**upload, PartNumber=number, Body=data, ChecksumAlgorithm="SHA256")
        return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]}

    with ExitStack() as failed:
        failed.callback(_abort, client, upload)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
            parts = list(pool.map(send, range(1, num_parts + 1)))
        answer = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        failed.pop_all()
    return str(answer["ETag"])


def abort_dead_uploads(client: Any, bucket: str, prefix: str, dead_after: timedelta) -> None:
    """Throw away the parts of uploads whose process died: they are stored, and paid for, and no listing shows them."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for upload in page.get("Uploads", ()):
            if datetime.now(UTC) - upload["Initiated"] > dead_after:
                _abort(client, {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]})


def _abort(client: Any, upload: dict[str, str]) -> None:
    with suppress(BotoCoreError, ClientError):  # the reason to abort matters more; a later upload sweeps what is left
        client.abort_multipart_upload(**upload)


def _read_part(path: Path, start: int, num_bytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(num_bytes)
    if len(data) < num_bytes:
        raise StoreError(
            f"File {path} became shorter during its upload: {start + len(data):,} bytes, {start + num_bytes:,} or more "
            "expected. Nothing was written."
        )
    return data
