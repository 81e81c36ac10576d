"""How many threads the libraries beneath may use, since sums depend on it to the last bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_LOCK = threading.Lock()
_PINNED: list[threadpool_limits] = []


def pin_blas() -> None:
    """Let BLAS use one thread in this process from now on.

    With another number of threads it adds up in another order. It is set once and never set back: changing it while
    another Python thread computes spoils that thread's result.
    """
    with _LOCK:
        if not _PINNED:
            _PINNED.append(threadpool_limits(1, "blas"))


@contextmanager
def openmp_threads(count: int) -> Iterator[None]:
    """Let OpenMP use `count` threads in the calling Python thread; others are not touched."""
    with threadpool_limits(count, "openmp"):
        yield
