"""Start the processes of a training, follow what they tell, and leave none of them behind.

They get the variables that torchrun sets, so that `torchrun -m pipelines.llm.worker JOB` on each node starts the same
training. Each follows its standard input: when the launcher is gone, it ends, and they finish the step, write a
checkpoint and end too.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from pipelines.errors import TrainingDiverged, TrainingError
from pipelines.llm import checkpoints
from pipelines.llm.extensions import extensions_folder, prepare_extensions
from pipelines.llm.job import TrainingJob
from pipelines.store.atomic import make_folder

LOG = logging.getLogger(__name__)

Event = dict[str, Any]

WATCH_VARIABLE = "LAUNCHER_PID"
STOPPED = 3  # what a process ends with after it was asked to
_TRIES = 3  # ports, where somebody else took the one that was free
_TICK_SECONDS = 0.5
_EXIT_SECONDS = 0.02  # between two looks at whether those who have said all have also gone
_LAST_LINES = 15
_LOCK = ".lock"
_NODE_RANK = "PET_NODE_RANK"  # torchrun's own variable for its --node-rank
# Activations come and go with every layer: handed back to the kernel, their pages would be cleared anew each time. A
# heap of large pages that is kept is a tenth faster, for a tenth more memory. ZeRO-3, which fetches and drops weights
# all the time, leaves a quarter more of it in holes, and goes without.
_KEEP_HEAP = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
_PORT_TAKEN = ("EADDRINUSE", "address already in use")


@dataclass(frozen=True)
class Patience:
    """Seconds until something is said to hang; `stop` is for the step that runs and its checkpoint."""

    start: float = 600.0
    step: float = 600.0
    stop: float = 120.0


@dataclass
class _Worker:
    rank: int
    process: subprocess.Popen[bytes]
    log: Path
    last_heard: float
    said: str = "started"
    rest: bytes = b""
    errors: list[Event] = field(default_factory=list)


def launch(
    job: TrainingJob,
    on_event: Callable[[Event], None],
    home: Path,
    patience: Patience = Patience(),
    port: int | None = None,
) -> Event:
    """Run a training to its end in a process group of its own, and return its last event, `done`.

    Args:
        job: The training; its `work` folder gets a log for each process.
        on_event: Called with each event of the first process as it comes, in the caller's thread.
        home: The environment's folder for all state; what DeepSpeed compiles is kept there.
        patience: When a process that says nothing counts as hanging.
        port: Where the processes meet; a free one is chosen, and another when that is taken. One that is given is kept.

    Raises:
        TrainingDiverged: If the loss went wrong; the same again would too.
        TrainingError: If a process ended or hung, or the training was asked to stop; says what is left of it.
    """
    rendezvous = job.plan.launch.rendezvous
    if rendezvous is not None:
        port = int(rendezvous.rpartition(":")[2])
    prepare_extensions(home)
    for tried in range(1, _TRIES + 1):
        chosen = port or _free_port()
        try:
            with _sole_user(Path(job.checkpoints), patience.stop) as lock:
                return _Group(job, on_event, home, patience, chosen, lock).run()
        except _PortTaken as error:
            if port is not None or tried == _TRIES:
                raise TrainingError(
                    f"Port {chosen}, where the training's processes are to meet, is taken. Nothing was trained; "
                    "give another one in 'rendezvous', or end who holds it."
                ) from error
            LOG.warning("port %d was taken before the processes met; another one is tried", chosen)
    raise AssertionError("the last try raises")


class _PortTaken(Exception):
    pass


class _Group:
    """One try to run all processes of this node."""

    def __init__(
        self,
        job: TrainingJob,
        on_event: Callable[[Event], None],
        home: Path,
        patience: Patience,
        port: int,
        lock: int,
    ) -> None:
        self._job, self._on_event, self._home, self._patience, self._port = job, on_event, home, patience, port
        self._lock = lock
        self._workers = list[_Worker]()
        self._asked_to_stop: float | None = None
        self._step = 0
        self._done: Event | None = None
        self._failed = list[_Worker]()  # those who ended before anybody was killed here

    def run(self) -> Event:
        work = Path(self._job.work)
        work.mkdir(parents=True, exist_ok=True)
        path = work / "job.json"
        path.write_bytes(self._job.to_bytes())
        with _on_sigterm(self._ask_to_stop), selectors.DefaultSelector() as selector:
            try:
                for rank in range(self._job.plan.launch.processes_per_node):
                    worker = self._start(rank, path, work / f"worker-{rank}.log")
                    self._workers.append(worker)
                    selector.register(_stdout(worker), selectors.EVENT_READ, worker)
                self._follow(selector)
            finally:
                self._end_all()
        return self._judge()

    def _start(self, rank: int, job: Path, log: Path) -> _Worker:
        command = [sys.executable, "-m", "pipelines.llm.worker", str(job)]
        with log.open("ab") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=worker_environment(self._job, self._home, rank, self._port),
                start_new_session=True,
                pass_fds=[self._lock],  # held until the last of them is gone, should this process be killed
            )
        return _Worker(rank, process, log, time.monotonic())

    def _follow(self, selector: selectors.BaseSelector) -> None:
        """Read what the processes say until all have ended, one has failed, or one says nothing for too long."""
        while selector.get_map() or any(worker.process.poll() is None for worker in self._workers):
            for key, _ in selector.select(_TICK_SECONDS if selector.get_map() else _EXIT_SECONDS):
                worker: _Worker = key.data
                if not self._read(worker):
                    selector.unregister(key.fileobj)
            self._failed = [one for one in self._workers if one.process.poll() not in {None, 0, STOPPED}]
            if self._failed:
                self._drain()
                return
            self._check_patience()

    def _read(self, worker: _Worker) -> bool:
        data = os.read(_stdout(worker).fileno(), 65_536)
        *lines, worker.rest = (worker.rest + data).split(b"\n")
        for line in lines:
            self._hear(worker, json.loads(line))
        return bool(data)

    def _drain(self) -> None:
        """Hear the last words of those who have ended."""
        give_up = time.monotonic() + 2.0
        for worker in self._workers:
            while worker.process.poll() is not None and time.monotonic() < give_up and self._read(worker):
                pass

    def _hear(self, worker: _Worker, event: Event) -> None:
        worker.last_heard, worker.said = time.monotonic(), event["event"]
        if event["event"] in {"error", "not_finite"}:
            worker.errors.append(event)
        if worker.rank == 0:
            self._step = event.get("step", self._step)
            if event["event"] == "done":
                self._done = event
            self._on_event(event)

    def _check_patience(self) -> None:
        now = time.monotonic()
        if self._asked_to_stop is not None and now - self._asked_to_stop > self._patience.stop:
            raise TrainingError(
                f"The training was asked to stop and has not within {self._patience.stop:g} s; it was killed after "
                f"step {self._step}. Run again: it goes on from the last checkpoint."
            )
        limit = self._patience.step if self._step else self._patience.start
        for worker in self._workers:
            if worker.process.poll() is None and now - worker.last_heard > limit:
                raise TrainingError(
                    f"Process {worker.rank} of {self._job.plan.world_size} has said nothing for {limit:g} s, after "
                    f"{worker.said!r} in step {self._step + 1}: it hangs, and all were killed. Run again: the training "
                    f"goes on from the last checkpoint.{_last_lines(worker.log)}"
                )

    def _ask_to_stop(self) -> None:
        if self._asked_to_stop is None:
            self._asked_to_stop = time.monotonic()
            for worker in self._workers:
                worker.process.terminate()

    def _end_all(self) -> None:
        """Kill what still runs, with whatever it has started itself."""
        for worker in self._workers:
            if worker.process.poll() is None:
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
            for pipe in (worker.process.stdin, worker.process.stdout):
                assert pipe is not None
                pipe.close()

    def _judge(self) -> Event:
        codes = [worker.process.returncode for worker in self._workers]
        if self._done is not None and not any(codes):
            return self._done
        if all(code == STOPPED for code in codes):
            raise TrainingError(
                f"The training was asked to stop and did, after step {self._step}, with a checkpoint. Run again: it "
                "goes on from there."
            )
        told = [event for worker in self._workers for event in worker.errors]
        raise self._explained([event for event in told if event["event"] == "error"], told)

    def _explained(self, errors: list[Event], told: list[Event]) -> Exception:
        if any(words.lower() in event["message"].lower() for event in errors for words in _PORT_TAKEN):
            return _PortTaken()
        diverged = [event for event in errors if event["kind"] == TrainingDiverged.__name__]
        if diverged:
            rows = sorted({row for event in told if event["event"] == "not_finite" for row in event["document_rows"]})
            narrowed = f" The batches that gave no number hold rows {rows}." if rows else ""
            return TrainingDiverged(diverged[0]["message"] + narrowed)
        killed = [worker for worker in self._failed if worker.process.returncode < 0]
        if errors and not killed:  # the others' errors are that it is gone
            return TrainingError(f"{errors[0]['message']} (process {errors[0]['rank']})")
        first = (killed or self._failed or self._workers)[0]
        return TrainingError(
            f"Process {first.rank} of {self._job.plan.world_size} {_ending(first.process.returncode)} in step "
            f"{self._step + 1}; all others were stopped. Run again: the training goes on from the last checkpoint."
            f"{_last_lines(first.log)}"
        )


@contextmanager
def _sole_user(folder: Path, grace_seconds: float) -> Iterator[int]:
    """Hold the lock of a folder of checkpoints, once the processes of a killed launcher are done with it."""
    make_folder(folder)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    give_up, told = time.monotonic() + 2 * grace_seconds, False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > give_up:
                    raise TrainingError(
                        f"Another training still writes to {folder}, after {2 * grace_seconds:g} s. "
                        "Nothing was trained."
                    ) from error
            if not told:
                LOG.warning("processes of an earlier start still write to %s; waiting for them to end", folder)
                told = True
            time.sleep(_TICK_SECONDS)
        checkpoints.sweep(folder)
        yield descriptor
    finally:
        os.close(descriptor)


def worker_environment(job: TrainingJob, home: Path, local_rank: int, port: int) -> dict[str, str]:
    """Return the environment of one process: torchrun's variables, no network, and a place to keep what is compiled."""
    launch = job.plan.launch
    host = (launch.rendezvous or "127.0.0.1").rpartition(":")[0] or "127.0.0.1"
    node = int(os.environ.get(_NODE_RANK, "0")) if launch.nodes > 1 else 0
    ours = {
        "RANK": str(node * launch.processes_per_node + local_rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(job.plan.world_size),
        "LOCAL_WORLD_SIZE": str(launch.processes_per_node),
        "MASTER_ADDR": host,
        "MASTER_PORT": str(port),
        "DS_ACCELERATOR": "cuda" if launch.on_gpu else "cpu",
        "TORCH_EXTENSIONS_DIR": str(extensions_folder(home)),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        WATCH_VARIABLE: str(os.getpid()),
    }
    if not launch.on_gpu:
        threads = launch.threads or max(1, len(os.sched_getaffinity(0)) // launch.processes_per_node)
        ours |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(threads)}
        if "GLIBC_TUNABLES" not in os.environ and job.plan.zero_stage < 3:
            ours["GLIBC_TUNABLES"] = _KEEP_HEAP
    return {**os.environ, **ours}


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _stdout(worker: _Worker) -> IO[bytes]:
    assert worker.process.stdout is not None
    return worker.process.stdout


def _ending(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    return f" The end of {log}:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""


@contextmanager
def _on_sigterm(ask_to_stop: Callable[[], None]) -> Iterator[None]:
    """Pass SIGTERM on for as long as the processes run, where this thread may listen to signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        ask_to_stop()
        if callable(before):
            before(number, frame)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
