"""Find the files that globs name, on this machine or on S3, and give them as local files."""

from __future__ import annotations

import fnmatch
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DataError, UsageError

_S3 = re.compile(r"s3://([^/]+)/(.+)")


@dataclass(frozen=True)
class SourceFile:
    """A file by the name that people know it by, and where it can be read."""

    name: str
    path: Path


@contextmanager
def located(patterns: Sequence[str], s3_endpoint_url: str | None = None) -> Iterator[list[SourceFile]]:
    """Give the files that match, each once and ordered by name, for the length of a `with`.

    Local globs know `**`. Objects on S3 are brought to a scratch folder, which needs room for all of them at once.

    Args:
        patterns: Local globs, or s3://bucket/key globs, where `*` stays within one folder and `**` does not.
        s3_endpoint_url: For S3 other than Amazon's.

    Raises:
        DataError: If a pattern matches nothing, or S3 does not give the objects.
        UsageError: If an S3 pattern names no bucket.
    """
    with tempfile.TemporaryDirectory(prefix="tandem-source-") as scratch:
        found: dict[str, SourceFile] = {}
        for pattern in patterns:
            remote = pattern.startswith("s3://")
            files = _from_s3(pattern, Path(scratch), s3_endpoint_url) if remote else _local(pattern)
            if not files:
                raise DataError(f"No file matches {pattern!r}; expected at least one. Nothing was ingested.")
            found.update({file.name: file for file in files})
        yield [found[name] for name in sorted(found)]


def _local(pattern: str) -> list[SourceFile]:
    absolute = Path(pattern).is_absolute()
    root = Path(Path(pattern).anchor) if absolute else Path()
    paths = root.glob(str(Path(pattern).relative_to(root)))
    return [SourceFile(str(path), path) for path in paths if path.is_file()]


def _from_s3(pattern: str, scratch: Path, endpoint_url: str | None) -> list[SourceFile]:
    import boto3  # takes a second, which files on a disk need not wait for
    from botocore.exceptions import BotoCoreError, ClientError

    match = _S3.fullmatch(pattern)
    if match is None:
        raise UsageError(f"Source path {pattern!r} is not allowed; expected s3://bucket/key. Nothing was read.")
    bucket, key_glob = match.groups()
    try:
        client = boto3.client("s3", endpoint_url=endpoint_url)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=re.split(r"[*?[]", key_glob)[0])
        keys = [item["Key"] for page in pages for item in page.get("Contents", ()) if _matches(item["Key"], key_glob)]
        files = []
        for number, key in enumerate(keys):
            path = scratch / f"{bucket}-{number}{''.join(Path(key).suffixes)}"
            client.download_file(bucket, key, str(path))
            files.append(SourceFile(f"s3://{bucket}/{key}", path))
    except (BotoCoreError, ClientError) as error:
        raise DataError(f"S3 does not give {pattern!r}: {error}. Nothing was ingested.") from error
    return files


def _matches(key: str, key_glob: str) -> bool:
    """Tell whether the key matches.

    >>> _matches("flights/2013/01.csv", "flights/*/*.csv"), _matches("flights/2013/01.csv", "flights/*.csv")
    (True, False)
    """
    if "**" in key_glob:
        return fnmatch.fnmatchcase(key, key_glob.replace("**/", "*").replace("**", "*"))
    parts, globs = key.split("/"), key_glob.split("/")
    return len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))
