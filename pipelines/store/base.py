"""The protocol that every store keeps, and the words it speaks in.

A store holds immutable and mutable objects under keys such as `flight_delay/partitions/2013-01/ab12.parquet`. A key is
relative to the store's root, so that records that name keys stay true when the store moves to another machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from pipelines.errors import UsageError

_KEY = re.compile(r"[A-Za-z0-9_=.+@:-]+(/[A-Za-z0-9_=.+@:-]+)*")
LONGEST_NAME = 255  # most file systems
LONGEST_KEY = 900  # S3 allows 1024 bytes, and the store's own prefix comes before


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    `tag` changes whenever the bytes do; pass it to `compare_and_swap`. It is opaque: an ETag on S3.
    """

    key: str
    size_bytes: int
    tag: str


class Store(Protocol):
    """Objects by key, the same on a disk, on S3 and in memory.

    Every write is whole or absent: no reader ever sees half an object. Every method raises `StoreError` when the store
    does not answer, and `UsageError` for a key that is not a relative path of plain names. A name is either an object
    or the folder of others, never both: S3 would allow it, a disk cannot.
    """

    root: str
    """The URI of the store itself, without a slash at its end."""

    def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectMissing`."""
        ...

    def open(self, key: str) -> BinaryIO:
        """Return a seekable stream of the object that holds a bounded part of it in memory. Raises `ObjectMissing`."""
        ...

    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object, replacing what is there."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object only where none is; of any number of callers exactly one wins. Raises `ObjectExists`."""
        ...

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        """Replace the object only while its tag is `expected_tag`. Raises `ObjectChanged`, `ObjectMissing`."""
        ...

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Put a local file of any size in bounded memory, replacing what is there."""
        ...

    def fetch(self, key: str) -> AbstractContextManager[Path]:
        """Give a local, read-only file with the object's bytes for the length of a `with`. Raises `ObjectMissing`."""
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix` (any string), ordered by key."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""
        ...


def is_key(text: str) -> bool:
    """Tell whether `text` can be the key of an object in any store."""
    return (
        len(text) <= LONGEST_KEY
        and _KEY.fullmatch(text) is not None
        and all(part not in {".", ".."} and len(part) <= LONGEST_NAME for part in text.split("/"))
    )


def begins_keys(prefix: str) -> bool:
    """Tell whether there can be a key that starts with `prefix`; servers differ in what they make of '/' or 'a//'."""
    return is_key(prefix) or is_key(f"{prefix}x")


def check_key(key: str) -> str:
    """Return `key`, or raise `UsageError` when it could leave the store or differ between stores.

    >>> check_key("flight_delay/snapshots/ab12.json")
    'flight_delay/snapshots/ab12.json'
    """
    if not is_key(key):
        raise UsageError(
            f"Store key {key!r} is not allowed: it must be names of letters, digits and _=.+@:- joined by '/', none of "
            f"them '.' or '..' or longer than {LONGEST_NAME}, and {LONGEST_KEY} in all. Nothing was read or written."
        )
    return key
