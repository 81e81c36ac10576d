"""Read and write objects whose bytes are known by their SHA-256, and refuse them when one bit differs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pydantic import ValidationError

from pipelines.errors import IntegrityError, ObjectExists
from pipelines.records import Record, sha256_of
from pipelines.store.base import Store

RecordType = TypeVar("RecordType", bound=Record)

_HASH = re.compile(r"[0-9a-f]{64}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a local file's bytes, in hex, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_first(store: Store, key: str, data: bytes) -> bytes:
    """Put `data` unless something is at `key`, and return what lies there: of any number of callers the first counts.

    Raises:
        StoreError: If the store does not answer.
    """
    try:
        store.put_if_absent(key, data)
    except ObjectExists:
        return store.read(key)
    return data


def put_first_record(store: Store, key: str, record: RecordType) -> RecordType:
    """Put `record` unless there is one at `key`, and return the one that lies there.

    Raises:
        IntegrityError: If what lies there is no such record.
        StoreError: If the store does not answer.
    """
    data = record.to_bytes()
    found = put_first(store, key, data)
    return record if found == data else _parsed(store, key, type(record), found)


def put_same(store: Store, key: str, data: bytes) -> None:
    """Put `data` at a key that names its content; putting it again is no error.

    Raises:
        IntegrityError: If the key holds other bytes.
        StoreError: If the store does not answer.
    """
    found = put_first(store, key, data)
    if found != data:
        _verify(store, key, sha256_of(data), sha256_of(found))


def write_record(store: Store, prefix: str, record: Record) -> str:
    """Put `record` at `<prefix>/<its sha256>.json` and return that key.

    Writing it again is no error. Raises `IntegrityError` when the key already holds other bytes.
    """
    key = f"{prefix.removesuffix('/')}/{record.sha256}.json"
    put_same(store, key, record.to_bytes())
    return key


def read_record(store: Store, key: str, record_type: type[RecordType], sha256: str | None = None) -> RecordType:
    """Return the record at `key`, after its bytes have been compared with their hash.

    Args:
        store: Where the record is.
        key: Its key.
        record_type: Its class.
        sha256: The hash it must have. Without one, a key that ends in `<sha256>.json` is held to its name, and any
            other key is not compared.

    Raises:
        ObjectMissing: If there is no such object.
        IntegrityError: If the bytes have another hash, or are no such record.
    """
    data = store.read(key)
    name = PurePosixPath(key).stem
    expected = sha256 or (name if _HASH.fullmatch(name) else None)
    if expected is not None:
        _verify(store, key, expected, sha256_of(data))
    return _parsed(store, key, record_type, data)


@contextmanager
def fetch_verified(store: Store, key: str, sha256: str) -> Iterator[Path]:
    """Give a local file with the object's bytes, after they have been compared with their hash in bounded memory.

    Raises:
        ObjectMissing: If there is no such object.
        IntegrityError: If the bytes have another hash.
    """
    with store.fetch(key) as path:
        _verify(store, key, sha256, file_sha256(path))
        yield path


def upload_once(store: Store, key: str, path: Path) -> None:
    """Put a local file whose key names its content, unless an object of that key and size is there already.

    So a step that is run again sends nothing twice, and after one that was killed only what is missing is sent.

    Args:
        store: Where it goes.
        key: Its key; it must carry the hash of the bytes, or of what determines them, for they are not compared.
        path: The local file, which stays.

    Raises:
        StoreError: If the store does not take it.
    """
    stored = store.stat(key)
    if stored is None or stored.size_bytes != path.stat().st_size:
        store.upload(key, path)


def _verify(store: Store, key: str, expected: str, found: str) -> None:
    if found != expected:
        raise IntegrityError(
            f"Object {key!r} in {store.root} was altered: its SHA-256 is {found}, expected {expected}. It was not used."
        )


def _parsed(store: Store, key: str, record_type: type[RecordType], data: bytes) -> RecordType:
    try:
        return record_type.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(
            f"Object {key!r} in {store.root} is no {record_type.__name__}: {error.error_count()} problems, the first: "
            f"{error.errors()[0]['msg']}. It was not used."
        ) from error
