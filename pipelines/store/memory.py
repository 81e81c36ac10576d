"""Objects in memory: a whole store for tests and trials, gone when the process ends."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipelines.records import sha256_of
from pipelines.store.base import ObjectInfo, check_key
from pipelines.store.failures import changed, exists, missing, name_in_use, require_file


class MemoryStore:
    """A dictionary behind a lock. As on a disk, no key can be at once an object and the folder of others."""

    def __init__(self, name: str = "") -> None:
        self.root = f"memory://{name}"
        self._objects: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectMissing`."""
        with self._lock:
            if check_key(key) not in self._objects:
                raise missing(self.root, key)
            return self._objects[key]

    def open(self, key: str) -> BinaryIO:
        """Return a seekable stream of the object. Raises `ObjectMissing`."""
        return io.BytesIO(self.read(key))

    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object, replacing what is there."""
        with self._lock:
            self._refuse_name_in_use(check_key(key))
            self._objects[key] = bytes(data)
            return _info(key, data)

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object only where none is. Raises `ObjectExists`."""
        with self._lock:
            if check_key(key) in self._objects:
                raise exists(self.root, key)
            return self.write(key, data)

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        """Replace the object only while its tag is `expected_tag`. Raises `ObjectChanged`, `ObjectMissing`."""
        with self._lock:
            found = _info(key, self.read(key))
            if found.tag != expected_tag:
                raise changed(self.root, key, expected_tag, found.tag)
            return self.write(key, data)

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Put a copy of a local file, replacing what is there. Raises `UsageError` when there is no such file."""
        check_key(key)
        require_file(key, path)
        return self.write(key, path.read_bytes())

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """Give a temporary file with the object's bytes. Raises `ObjectMissing`."""
        data = self.read(key)
        with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
            path = Path(folder) / PurePosixPath(key).name
            path.write_bytes(data)
            path.chmod(0o444)
            yield path

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        with self._lock:
            data = self._objects.get(check_key(key))
        return None if data is None else _info(key, data)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, ordered by key, as they were at the first."""
        with self._lock:
            found = [_info(key, data) for key, data in sorted(self._objects.items()) if key.startswith(prefix)]
        yield from found

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""
        with self._lock:
            self._objects.pop(check_key(key), None)

    def _refuse_name_in_use(self, key: str) -> None:
        folders = {str(folder) for folder in PurePosixPath(key).parents}
        if not folders.isdisjoint(self._objects) or any(other.startswith(f"{key}/") for other in self._objects):
            raise name_in_use(self.root, key)


def _info(key: str, data: bytes) -> ObjectInfo:
    return ObjectInfo(key, len(data), sha256_of(data))
