"""A folder for a step's temporary files that does not outlive the step for long, even where the step was killed.

The folder of a living process is known by the lock on it, which the kernel takes off when the process dies, also where
containers share the parent folder. Its name holds the start of this machine, for a lock need not be seen from another:
what another machine left, or this one before it was started anew, stays.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.errors import StoreError

_BOOT = Path("/proc/sys/kernel/random/boot_id")  # of Linux
PREFIX = f"tandem-step-{_BOOT.read_text()[:8] if _BOOT.exists() else platform.node()}-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Have all temporary files of this process made in a new folder, and remove it in the end.

    A killed process cannot remove its own, which may hold the rows of a whole search: the next that comes here does.

    Raises:
        StoreError: If no folder can be made.
    """
    outer = tempfile.tempdir
    try:
        parent = Path(tempfile.gettempdir())
        _sweep(parent)
        folder, descriptor = _locked_folder(parent)
    except OSError as error:
        raise StoreError(
            f"No folder can be made for temporary files: {error}. Nothing was run; set TMPDIR to a folder with room."
        ) from error
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = outer
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # swept before it was locked
            continue
        with suppress(OSError):  # a file system without locks on folders, such as NFS: nobody sweeps there either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Remove the folders that killed processes left."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # it is gone by now, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # its process lives, or the file system has no such locks
            continue
        finally:
            os.close(descriptor)
