"""Objects as plain files in one folder, safe between threads and processes.

A write goes to a temporary file, is flushed to the disk, and then takes its place by one rename or hard link, so that a
reader sees a whole object or none. Whatever replaces or removes an object holds a lock that the kernel frees when its
holder dies. Both live in folders whose names no key can have.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pipelines.store.atomic import Workshop, flush_folder, make_folder
from pipelines.store.base import ObjectInfo, begins_keys, check_key, is_key
from pipelines.store.failures import changed, exists, explained_read, explained_write, missing, require_file

_CHUNK_BYTES = 1024 * 1024


class FileStore:
    """A folder as a store. The folder is made when it is not there.

    An object is kept under its own key as its path, read-only, so that any tool can read it. No key can be at once an
    object and the folder of others: writing such a key raises `StoreError`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._workshop = Workshop(self._folder)
        self.root = self._folder.as_uri()
        with explained_write(self._folder, "the store's folder"):
            self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, key: str) -> bytes:
        """Return the whole object. Raises `ObjectMissing`."""
        with explained_read(self._folder, key):
            return self._path(key).read_bytes()

    def open(self, key: str) -> BinaryIO:
        """Return the open file; it keeps giving the same bytes when the object is replaced. Raises `ObjectMissing`."""
        with explained_read(self._folder, key):
            return self._path(key).open("rb")

    def write(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object, replacing what is there."""
        return self._put(key, io.BytesIO(data), self._replace)

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        """Put the object only where none is. Raises `ObjectExists`."""
        if self.stat(key) is not None:
            raise exists(self.root, key)
        return self._put(key, io.BytesIO(data), self._link)

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        """Replace the object only while its tag is `expected_tag`. Raises `ObjectChanged`, `ObjectMissing`."""

        def swap(key: str, temporary: Path) -> None:
            with self._workshop.lock(key):
                self._require(key, expected_tag)
                temporary.replace(self._path(key))

        self._require(key, expected_tag)
        return self._put(key, io.BytesIO(data), swap)

    def upload(self, key: str, path: Path) -> ObjectInfo:
        """Put a copy of a local file, replacing what is there. Raises `UsageError` when there is no such file."""
        check_key(key)
        require_file(key, path)
        with path.open("rb") as source:
            return self._put(key, source, self._replace)

    @contextmanager
    def fetch(self, key: str) -> Iterator[Path]:
        """Give the object's own file; nothing is copied. Raises `ObjectMissing`."""
        if self.stat(key) is None:
            raise missing(self.root, key)
        yield self._path(key)

    def stat(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object, or None where there is none."""
        path = self._path(key)
        with explained_read(self._folder, key):
            try:
                status = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self._folder.stat()  # a store that is gone is a fault, not an absent object
                return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects whose key starts with `prefix`, ordered by key, reading one folder at a time."""
        if not begins_keys(prefix):
            return
        with explained_read(self._folder, prefix):
            self._folder.stat()
        yield from self._walk(prefix[: prefix.rfind("/") + 1], prefix)

    def delete(self, key: str) -> None:
        """Remove the object; removing what is not there is no error."""
        if self.stat(key) is None:
            return
        path = self._path(key)
        with explained_write(self._folder, key), self._workshop.lock(key):
            path.unlink(missing_ok=True)
            flush_folder(path.parent)

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    def _put(self, key: str, source: BinaryIO, publish: Callable[[str, Path], None]) -> ObjectInfo:
        path = self._path(key)
        with explained_write(self._folder, key), self._workshop.temporary() as (temporary, file):
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
            file.flush()
            # The file system's own clock ticks every few milliseconds; a tag must tell apart two writes in one tick.
            os.utime(file.fileno(), ns=(now := time.time_ns(), now))
            os.fsync(file.fileno())
            info = _info(key, os.fstat(file.fileno()))
            make_folder(path.parent)
            publish(key, temporary)
            flush_folder(path.parent)
        return info

    def _replace(self, key: str, temporary: Path) -> None:
        with self._workshop.lock(key):
            temporary.replace(self._path(key))

    def _link(self, key: str, temporary: Path) -> None:
        path = self._path(key)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            if path.is_dir():
                raise
            raise exists(self.root, key) from None

    def _require(self, key: str, tag: str) -> None:
        found = self.stat(key)
        if found is None:
            raise missing(self.root, key)
        if found.tag != tag:
            raise changed(self.root, key, tag, found.tag)

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(self._folder / folder) as entries:
                # With its slash a folder sorts where the keys in it belong: 'a-b' < 'a/b' < 'a0'.
                names = sorted(entry.name + "/" * entry.is_dir() for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            with explained_read(self._folder, folder):
                raise
        for name in names:
            key = folder + name
            if not is_key(key.removesuffix("/")):
                continue  # what no key can name is no object: our own folders, strangers' files
            if name.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(key, prefix)
            elif key.startswith(prefix) and (info := self.stat(key)) is not None:
                yield info


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}")
