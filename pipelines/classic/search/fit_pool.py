"""Several fit servers, each a process of its own; a fit that runs over its bound is stopped by ending its process."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib

import pipelines
from pipelines.classic.search.trials import TrialKey
from pipelines.errors import TrainingError, UsageError

LOG = logging.getLogger(__name__)

JOBS_VARIABLE = "TANDEM_FIT_JOBS"
MOST_JOBS = 64
SECONDS_TO_START = 120.0  # imports take 2 s on a quiet machine
MOST_DEATHS = 3  # without one answer in between; then the fault is not in a configuration

# One thread each: processes fill the cores, and BLAS adds up in another order with another number of threads.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Answer:
    """What became of a request: the server's answer, or None with `cut_off` after the bound, or None when it died."""

    key: TrialKey
    answer: dict[str, Any] | None
    seconds: float
    cut_off: bool = False
    reason: str = ""


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    started: float
    ready: bool = False
    key: TrialKey | None = None
    asked: float = 0.0
    deadline: float = float("inf")
    hard_seconds: float = float("inf")
    give_up: float = float("inf")
    unread: bytes = field(default=b"")


class FitPool:
    """Fit servers on the rows in a folder; use it in a `with`, which leaves no process behind."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.jobs = jobs
        self._servers: list[_Server] = []
        self._selector = selectors.DefaultSelector()
        self._deaths = 0

    def __enter__(self) -> FitPool:
        """Start the servers."""
        for _ in range(self.jobs):
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the servers, in the middle of a fit where there is one."""
        for server in list(self._servers):
            self._end(server)
        self._selector.close()

    @property
    def num_free(self) -> int:
        """How many more requests can be taken now."""
        return sum(server.key is None for server in self._servers)

    @property
    def running(self) -> list[TrialKey]:
        """What is being fitted."""
        return [server.key for server in self._servers if server.key is not None]

    def submit(
        self, key: TrialKey, request: dict[str, Any], hard_seconds: float, give_up_seconds: float = float("inf")
    ) -> None:
        """Give a request to a free server.

        It is stopped `hard_seconds` from now, or from when the server is up if that is later, and in any case
        `give_up_seconds` from now.
        """
        server = min((server for server in self._servers if server.key is None), key=lambda server: not server.ready)
        assert server.process.stdin is not None
        server.key, server.asked, server.hard_seconds = key, time.monotonic(), hard_seconds
        server.give_up = server.asked + give_up_seconds
        server.deadline = min(server.give_up, server.asked + hard_seconds + (0.0 if server.ready else SECONDS_TO_START))
        line = json.dumps({"id": str(key), **request}) + "\n"
        with suppress(BrokenPipeError):  # it died: the next wait finds that out and says so
            server.process.stdin.write(line.encode())
            server.process.stdin.flush()

    def wait(self, timeout_seconds: float) -> list[Answer]:
        """Return what has been answered, cut off or lost; at latest when the time is up, and then maybe nothing."""
        until = time.monotonic() + timeout_seconds
        while True:
            answers = list(self._gather())
            now = time.monotonic()
            if answers or now >= until:
                return answers
            nearest = min([until, *(server.deadline for server in self._servers)])
            for selected, _ in self._selector.select(max(0.0, nearest - now)):
                self._read(selected.data)

    def _gather(self) -> Iterator[Answer]:
        for server in list(self._servers):
            while b"\n" in server.unread:
                line, server.unread = server.unread.split(b"\n", 1)
                yield from self._take(server, json.loads(line))
            now = time.monotonic()
            if server.process.poll() is not None:
                yield from self._lost(server)
            elif server.key is not None and now >= server.deadline:
                key, seconds = server.key, now - server.asked
                self._replace(server)
                yield Answer(key, None, seconds, cut_off=True, reason=f"stopped after {seconds:.1f} s")

    def _take(self, server: _Server, answer: dict[str, Any]) -> Iterator[Answer]:
        now = time.monotonic()
        if answer["status"] == "ready":
            server.ready = True
            if server.key is not None:  # it was asked before it was up: its time starts now
                server.asked = now
                server.deadline = min(server.give_up, now + server.hard_seconds)
            return
        assert server.key is not None
        key, server.key, server.deadline, self._deaths = server.key, None, float("inf"), 0
        yield Answer(key, answer, float(answer["seconds"]))

    def _lost(self, server: _Server) -> Iterator[Answer]:
        self._deaths += 1
        reason = f"its process ended with {server.process.returncode} (-9 is most often: out of memory)"
        if self._deaths >= MOST_DEATHS * self.jobs:
            raise TrainingError(
                f"{self._deaths} fit processes in a row ended by themselves, the last with "
                f"{server.process.returncode}; "
                "bound: none. What they wrote on stderr says why. The search stopped; what it had found is kept."
            )
        key, seconds = server.key, time.monotonic() - server.asked
        self._replace(server)
        if key is not None:
            yield Answer(key, None, seconds, reason=reason)

    def _read(self, server: _Server) -> None:
        assert server.process.stdout is not None
        data = os.read(server.process.stdout.fileno(), 65_536)
        server.unread += data
        if not data:  # the end of its output comes before the end of the process
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(5.0)

    def _start(self) -> None:
        root = str(Path(pipelines.__file__).resolve().parents[1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.classic.search.fit_server", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
        )
        server = _Server(process, time.monotonic())
        self._servers.append(server)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, server)

    def _replace(self, server: _Server) -> None:
        self._end(server)
        self._start()

    def _end(self, server: _Server) -> None:
        self._servers.remove(server)
        assert server.process.stdout is not None
        assert server.process.stdin is not None
        self._selector.unregister(server.process.stdout)
        server.process.kill()
        server.process.wait()
        with suppress(BrokenPipeError):
            server.process.stdin.close()
        server.process.stdout.close()


@contextmanager
def one_pool(folder: Path, jobs: int | None = None) -> Iterator[FitPool]:
    """Give a pool with one server a core, or as many as TANDEM_FIT_JOBS says."""
    with FitPool(folder, jobs or default_jobs()) as pool:
        yield pool


def default_jobs() -> int:
    """Return how many fits run at once: TANDEM_FIT_JOBS, or the cores this process may use. Raises `UsageError`."""
    text = os.environ.get(JOBS_VARIABLE)
    if text is None:
        return int(min(MOST_JOBS, joblib.cpu_count()))
    if not text.isdigit() or not 1 <= int(text) <= MOST_JOBS:
        raise UsageError(f"{JOBS_VARIABLE} is {text!r}; allowed: 1 to {MOST_JOBS}. Nothing was trained.")
    return int(text)
