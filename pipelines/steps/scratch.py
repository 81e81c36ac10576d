"""A folder for a step's temporary files that does not outlive the step for long, even where the step was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "tandem-step-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Have all temporary files of this process made in a new folder, and remove it in the end.

    A killed process cannot remove its own, which may hold the rows of a whole search: the next that comes here does. It
    knows the folder of a living process by the lock on it, which the kernel takes off when the process dies.
    """
    outer = tempfile.tempdir
    parent = Path(tempfile.gettempdir())
    _sweep(parent)
    folder, descriptor = _locked_folder(parent)
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
        except BlockingIOError:  # its process lives
            continue
        finally:
            os.close(descriptor)
