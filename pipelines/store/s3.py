"""Objects in a bucket of S3, or of any server that speaks its protocol with conditional writes."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from uuid import uuid4

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from pipelines.errors import StoreError
from pipelines.store.base import ObjectInfo, begins_keys, check_key
from pipelines.store.failures import changed, exists, explained_write, missing, require_file
from pipelines.store.s3_client import make_client
from pipelines.store.s3_failures import READ, WRITTEN, Place, code_of, status_of
from pipelines.store.s3_multipart import abort_dead_uploads, upload_in_parts
from pipelines.store.s3_reader import READ_AHEAD_BYTES, RangeReader

_PART_BYTES = 16 * 1024 * 1024
_BODY_ATTEMPTS = 3
_CONFLICT_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
_MARK = "tandem-write"  # metadata that tells a writer its own object from another's


class S3Store:
    """A bucket, or the part of it under `prefix`, as a store.

    Credentials come from the AWS_* variables. A file larger than `part_bytes` is sent in parts. Uploads that are older
    than `dead_after` and were never finished are thrown away before this object's first upload in parts.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str | None = None,
        *,
        part_bytes: int = _PART_BYTES,
        dead_after: timedelta = timedelta(days=1),
    ) -> None:
        self.root = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._prefix = f"{check_key(prefix)}/" if prefix else ""
        self._part_bytes = part_bytes
        self._dead_after = dead_after
        self._swept = False
        self._client = make_client(bucket, endpoint_url)
        self._place = Place(self._client.meta.endpoint_url, bucket, self.root)

    def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectMissing`."""
        with self._place.explained(key, READ):
            return self._body(key)

    def open(self, key: str) -> BinaryIO:
        """Return a seekable stream that asks for 4 MiB at a time.

        Reading raises `ObjectChanged` once the object has been replaced: bytes of two versions are never mixed.
        """
        found = self._require(key)

        def get_range(start: int, stop: int) -> bytes:
            with self._place.explained(key, READ):
                return self._body(key, Range=f"bytes={start}-{stop - 1}", IfMatch=found.tag)

        return cast(BinaryIO, io.BufferedReader(RangeReader(get_range, found.size_bytes), READ_AHEAD_BYTES))

    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object, replacing what is there."""
        with self._place.explained(key, WRITTEN):
            answer = self._client.put_object(**self._target(key), Body=data, ChecksumAlgorithm="SHA256")
        return ObjectInfo(key, len(data), answer["ETag"])

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object only where none is. Raises `ObjectExists`."""
        written = self._write_if(key, data, IfNoneMatch="*")
        if written is None:
            raise exists(self.root, key)
        return written

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        """Replace the object only while its tag is `expected_tag`. Raises `ObjectChanged`, `ObjectMissing`."""
        written = self._write_if(key, data, IfMatch=expected_tag)
        if written is None:
            raise changed(self.root, key, expected_tag, self._require(key).tag)
        return written

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Put a copy of a local file, replacing what is there. Raises `UsageError` when there is no such file."""
        target = self._target(key)
        size_bytes = require_file(key, path)
        if size_bytes <= self._part_bytes:
            return self.write(key, path.read_bytes())
        mark = uuid4().hex
        with self._place.explained(key, WRITTEN):
            self._sweep()
            try:
                tag = upload_in_parts(self._client, target, path, self._part_bytes, {_MARK: mark})
            except ClientError as error:
                # The answer to "complete" was lost, and its repetition finds the upload gone: done.
                if code_of(error) != "NoSuchUpload" or (own := self._own(key, mark)) is None:
                    raise
                return own
        return ObjectInfo(key, size_bytes, tag)

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """Give a temporary file with the object's bytes. Raises `ObjectMissing`."""
        self._require(key)
        with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
            path = Path(folder) / PurePosixPath(key).name
            config = TransferConfig(multipart_chunksize=self._part_bytes, max_concurrency=4)
            with explained_write(Path(folder), key), self._place.explained(key, READ):
                self._client.download_file(**self._target(key), Filename=str(path), Config=config)
            path.chmod(0o444)
            yield path

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        with self._place.explained(key, READ):
            head = self._head(key)
            return None if head is None else ObjectInfo(key, head["ContentLength"], head["ETag"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, ordered by key.

        The whole listing is held in memory: S3 gives it in order, other servers order 'a/b' before 'a-b'.
        """
        if not begins_keys(prefix):
            return
        found = []
        with self._place.explained(prefix, READ):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", ()):
                    found.append(ObjectInfo(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["ETag"]))
        yield from sorted(found, key=lambda info: info.key)

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""
        with self._place.explained(key, WRITTEN):
            self._client.delete_object(**self._target(key))

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + check_key(key)}

    def _body(self, key: str, **conditions: str) -> bytes:
        """Read an answer to its end; boto3 repeats a request by itself, but not one that breaks off in its body."""
        for attempt in range(1, _BODY_ATTEMPTS + 1):
            try:
                with closing(self._client.get_object(**self._target(key), **conditions)["Body"]) as body:
                    return bytes(body.read())
            except (FlexibleChecksumError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                if attempt == _BODY_ATTEMPTS:
                    raise
            except ClientError as error:
                if status_of(error) == 412:
                    raise changed(self.root, key, conditions["IfMatch"], None) from error
                raise
        raise AssertionError("the last attempt returns or raises")

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.head_object(**self._target(key)))
        except ClientError as error:
            if status_of(error) != 404:
                raise
        try:  # a 404 to HEAD has no body: it does not say whether the object or the bucket is missing
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if status_of(error) != 404:
                raise
            raise StoreError(f"{self._place.bucket_missing()} {READ}") from error
        return None

    def _require(self, key: str) -> ObjectInfo:
        found = self.stat(key)
        if found is None:
            raise missing(self.root, key)
        return found

    def _write_if(self, key: str, data: bytes, **condition: str) -> ObjectInfo | None:
        """Put the object under a condition; None when the condition does not hold.

        An answer may be lost and the request repeated by boto3: its own first write then makes the condition fail. The
        mark in the object's metadata tells that from a write of another.
        """
        mark = uuid4().hex
        request = {**self._target(key), "Body": data, "ChecksumAlgorithm": "SHA256", "Metadata": {_MARK: mark}}
        with self._place.explained(key, WRITTEN):
            for pause_seconds in (*_CONFLICT_PAUSES_SECONDS, None):
                try:
                    answer = self._client.put_object(**request, **condition)
                    return ObjectInfo(key, len(data), answer["ETag"])
                except ClientError as error:
                    if status_of(error) == 409 and pause_seconds is not None:
                        time.sleep(pause_seconds)  # Amazon's answer while another conditional write is under way
                    elif status_of(error) == 412 or code_of(error) == "NoSuchKey":
                        return self._own(key, mark)
                    else:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def _own(self, key: str, mark: str) -> ObjectInfo | None:
        head = self._head(key)
        if head is None or head.get("Metadata", {}).get(_MARK) != mark:
            return None
        return ObjectInfo(key, head["ContentLength"], head["ETag"])

    def _sweep(self) -> None:
        if not self._swept:
            self._swept = True
            with suppress(ClientError):  # whoever may write need not be allowed to list uploads
                abort_dead_uploads(self._client, self._bucket, self._prefix, self._dead_after)
