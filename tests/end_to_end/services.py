"""The services' own processes: kill one with all that it has started, start it again, and find those of tasks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from pipelines.local.services import AIRFLOW_PARTS, processes
from pipelines.local.settings import process_environment, read_addresses
from pipelines.spec import load_environment

TITLE = "airflow worker -- "  # of a process that executes a task; the task instance's id follows


def task_processes(scheduler: str = "airflow-scheduler") -> Iterator[tuple[str, psutil.Process]]:
    """Yield the processes that execute a task for the services of this environment, by the task instance's id."""
    for process in psutil.Process(pid_of(scheduler)).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if title.startswith(TITLE) and ":" not in title:  # with a colon it is the one above, which tells Airflow
            yield title.removeprefix(TITLE).strip(), process


def pid_of(service: str) -> int:
    """Return the process id of a service of this environment."""
    return int(json.loads((load_environment().home / "run" / f"{service}.json").read_text())["pid"])


def kill(service: str) -> None:
    """Kill -9 a service and all that it has started, as when its machine goes."""
    process = psutil.Process(pid_of(service))
    family = [process, *process.children(recursive=True)]
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(family, timeout=10)


def start(service: str, **settings: str) -> None:
    """Start a service of Airflow anew, where it was, with some settings of Airflow's changed."""
    environment = load_environment()
    variables = process_environment(read_addresses(environment)) | settings
    processes(environment)[service].start(AIRFLOW_PARTS[service.removeprefix("airflow-")], variables)


@contextmanager
def writes_held(home: Path) -> Iterator[None]:
    """Let nobody write into Airflow's database for a while; its clients wait 5 s and then fail. Who reads, may."""
    with closing(sqlite3.connect(home / "airflow" / "airflow.db", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def halt(service: str, home: Path) -> None:
    """Halt a service, its children not, at a moment at which it writes nothing that others would wait for."""
    process = psutil.Process(pid_of(service))
    with closing(sqlite3.connect(home / "airflow" / "airflow.db", timeout=0.05, isolation_level=None)) as probe:
        while True:
            process.suspend()
            try:
                probe.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.resume()
            else:
                probe.execute("ROLLBACK")
                return
