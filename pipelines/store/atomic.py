"""What makes a write to a folder whole or absent: temporary files, locks that die with their holder, flushed names."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

_DEAD_AFTER_SECONDS = 60.0  # a temporary file is this old, and unlocked, before it counts as left over


class Workshop:
    """The part of a store's folder where files are made before anybody may see them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = False

    @contextmanager
    def temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """Give a new file to fill and move away; what is still there at the end is removed."""
        folder = self._private_folder("~writing")
        self._sweep(folder)
        path = folder / uuid4().hex
        file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o444), "wb")
        try:
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)  # tells the sweep that the writer lives
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the key's lock against all threads and processes; the kernel frees it when its holder dies."""
        name = hashlib.sha256(key.encode()).hexdigest()[:2]  # 256 lock files serve any number of keys
        with (self._private_folder("~locks") / name).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would not free it while a forked child holds a copy

    def _sweep(self, folder: Path) -> None:
        """Remove what killed writers left, once in the life of this object."""
        if self._swept:
            return
        self._swept = True
        for path in folder.iterdir():
            try:
                if time.time() - path.stat().st_mtime > _DEAD_AFTER_SECONDS:
                    with path.open("rb") as file:
                        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                        path.unlink()
            except OSError:  # its writer lives, somebody else has removed it, or it is another user's
                continue

    def _private_folder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder


def make_folder(folder: Path) -> None:
    """Make the folder and those above it, so that they outlast a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make new names in the folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
