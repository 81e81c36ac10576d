"""How many threads the libraries beneath may use, since sums depend on it to the last bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

_LOCK = threading.Lock()
_CONTROLLERS: dict[str, ThreadpoolController] = {}  # finding the libraries takes milliseconds; answers must not


def pin_blas() -> None:
    """Let BLAS use one thread in this process from now on.

    With another number of threads it adds up in another order. It is set once and never set back: changing it while
    another Python thread computes spoils that thread's result.
    """
    _controller("blas")


@contextmanager
def openmp_threads(count: int) -> Iterator[None]:
    """Let OpenMP use `count` threads in the calling Python thread; others are not touched."""
    with _controller("openmp").limit(limits=count, user_api="openmp"):
        yield


def _controller(purpose: str) -> ThreadpoolController:
    with _LOCK:
        if purpose not in _CONTROLLERS:
            _CONTROLLERS[purpose] = ThreadpoolController()
            if purpose == "blas":
                _CONTROLLERS[purpose].limit(limits=1, user_api="blas")
        return _CONTROLLERS[purpose]
