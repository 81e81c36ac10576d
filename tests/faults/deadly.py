"""A store that kills its process at a chosen point, and a child process for it to kill."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.store import ObjectInfo, Store


class DeadlyStore:
    """A store that kills its process at one chosen point: an even number before a write, an odd one after it."""

    def __init__(self, store: Store, point: int | None) -> None:
        self.root = store.root
        self.passed = 0
        self._store = store
        self._point = point

    def _around(self, write: Callable[[], ObjectInfo]) -> ObjectInfo:
        self._pass()
        info = write()
        self._pass()
        return info

    def _pass(self) -> None:
        if self.passed == self._point:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed += 1

    def read(self, key: str) -> bytes:
        return self._store.read(key)

    def open(self, key: str) -> BinaryIO:
        return self._store.open(key)

    def write(self, key: str, data: bytes) -> ObjectInfo:
        return self._around(lambda: self._store.write(key, data))

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        return self._around(lambda: self._store.put_if_absent(key, data))

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        return self._around(lambda: self._store.compare_and_swap(key, data, expected_tag))

    def upload(self, key: str, path: Path) -> ObjectInfo:
        return self._around(lambda: self._store.upload(key, path))

    def fetch(self, key: str) -> Any:
        return self._store.fetch(key)

    def stat(self, key: str) -> ObjectInfo | None:
        return self._store.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)


def run_in_child(do: Callable[[], object]) -> int:
    """Run `do` in a forked child, so that libraries are imported once; return its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            do()
            os._exit(0)
        finally:  # never back into pytest
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
