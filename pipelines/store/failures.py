"""The sentences of a store's errors, so that every store says the same of the same failure."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import ObjectChanged, ObjectExists, ObjectMissing, StoreError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_NAME_IN_USE = {errno.EEXIST, errno.EISDIR, errno.ENOTDIR}
_NO_FILE = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR}


def missing(root: str, key: str) -> ObjectMissing:
    """Return the error for a key that holds no object."""
    return ObjectMissing(f"There is no object {key!r} in {root}. Nothing was read or changed.")


def exists(root: str, key: str) -> ObjectExists:
    """Return the error for a put-if-absent that came second."""
    return ObjectExists(f"Object {key!r} is already in {root}, and this write had to be the first. It is unchanged.")


def changed(root: str, key: str, expected_tag: str, found_tag: str | None) -> ObjectChanged:
    """Return the error for a compare-and-swap that came second."""
    found = "another tag" if found_tag is None else f"tag {found_tag}"
    return ObjectChanged(
        f"Object {key!r} in {root} has changed since it was read: it has {found}, expected {expected_tag}. "
        "It stays as it is; read it again and decide anew."
    )


def name_in_use(root: str, key: str) -> StoreError:
    """Return the error for a key that would be at once an object and a folder of objects."""
    return StoreError(
        f"Cannot write object {key!r} in {root}: that name, or one on the way to it, is already the other of folder "
        "and object. Nothing was written; choose another key."
    )


def require_file(key: str, path: Path) -> int:
    """Return the size in bytes of the local file that is to be stored as `key`. Raises `UsageError` without one."""
    if not path.is_file():
        raise UsageError(f"Cannot upload {path} as {key!r}: there is no such file. Nothing was written.")
    return path.stat().st_size


@contextmanager
def explained_read(folder: Path, key: str) -> Iterator[None]:
    """Turn an `OSError` of reading in `folder` into a `StoreError`, or `ObjectMissing`, that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FILE and folder.is_dir():
            raise missing(folder.as_uri(), key) from None
        reason = "the store's folder is gone" if not folder.is_dir() else _reason(folder, error)
        raise StoreError(f"Cannot read {key!r} in {folder}: {reason}. Nothing was changed.") from error


@contextmanager
def explained_write(folder: Path, key: str) -> Iterator[None]:
    """Turn an `OSError` of writing in `folder` into a `StoreError` that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _NAME_IN_USE and folder.is_dir():
            raise name_in_use(folder.as_uri(), key) from error
        raise StoreError(
            f"Cannot write {key!r} in {folder}: {_reason(folder, error)}. Nothing half-written is left."
        ) from error


def _reason(folder: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return f"the disk or its quota is full ({error.strerror}; {_free_bytes(folder)} bytes free)"
    if error.errno in _FORBIDDEN:
        return f"this user may not do that there, or the folder is read-only ({error.strerror})"
    return error.strerror or str(error)


def _free_bytes(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free:,}"
    except OSError:
        return "unknown"
