"""A folder of a store, as a store of its own: what has the same keys as something else, and must not meet it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pipelines.store.base import ObjectInfo, Store, check_key


class NestedStore:
    """All that lies in one folder of another store, under keys that begin after it; it keeps `Store`."""

    def __init__(self, store: Store, folder: str) -> None:
        self.root = f"{store.root}/{check_key(folder)}"
        self._store = store
        self._before = f"{folder}/"

    def read(self, key: str) -> bytes:
        """Return the whole object."""
        return self._store.read(self._outer(key))

    def open(self, key: str) -> BinaryIO:
        """Return a seekable stream of the object."""
        return self._store.open(self._outer(key))

    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object, replacing what is there."""
        return self._inner(self._store.write(self._outer(key), data))

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object only where none is."""
        return self._inner(self._store.put_if_absent(self._outer(key), data))

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        """Replace the object only while its tag is `expected_tag`."""
        return self._inner(self._store.compare_and_swap(self._outer(key), data, expected_tag))

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Put a local file."""
        return self._inner(self._store.upload(self._outer(key), path))

    def fetch(self, key: str) -> AbstractContextManager[Path]:
        """Give a local file with the object's bytes."""
        return self._store.fetch(self._outer(key))

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        info = self._store.stat(self._outer(key))
        return None if info is None else self._inner(info)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, ordered by key."""
        return (self._inner(info) for info in self._store.list(f"{self._before}{prefix}"))

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._store.delete(self._outer(key))

    def _outer(self, key: str) -> str:
        return f"{self._before}{check_key(key)}"

    def _inner(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, key=info.key.removeprefix(self._before))
