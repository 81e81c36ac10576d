"""Wait for what a running Airflow does by itself, and look at its runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from pipelines.local.demo import wait_for_dag
from tests.end_to_end.conftest import Workplace

WAIT_SECONDS = 200


def until(happens: Callable[[], Any], what: str, pause_seconds: float = 0.3) -> Any:
    """Return what `happens` gives as soon as it gives something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := happens()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS} s"
        time.sleep(pause_seconds)
    return found


def awake(place: Workplace, *dag_ids: str) -> None:
    """Let the runs of these DAGs start."""
    for dag_id in dag_ids:
        wait_for_dag(place.api, dag_id)
        place.api.unpause(dag_id)


def asleep(place: Workplace, dag_id: str) -> None:
    """Let no more runs of a DAG start, also by what wakes it."""
    answer = place.send("PATCH", f"/dags/{dag_id}", {"is_paused": True})
    assert answer.status_code == httpx.codes.OK, answer.text


def runs(place: Workplace, dag_id: str) -> dict[str, Any]:
    """Return the runs of a DAG by their ids."""
    answer = place.send("GET", f"/dags/{dag_id}/dagRuns", {}).json()
    return {run["dag_run_id"]: run for run in answer["dag_runs"]}


def states(place: Workplace, dag_id: str, run_id: str) -> dict[str, tuple[str | None, int]]:
    """Return the state of each task of a run, and how often it was tried."""
    return {task["task_id"]: (task["state"], task["try_number"]) for task in place.api.tasks(dag_id, run_id)}


def ended(place: Workplace, dag_id: str, run_id: str) -> dict[str, tuple[str | None, int]]:
    """Wait for the end of a run; return the state of each task, and how often it was tried."""
    until(lambda: place.api.run(dag_id, run_id)["state"] in {"success", "failed"}, f"the end of {run_id} of {dag_id}")
    return states(place, dag_id, run_id)


def begun(place: Workplace, dag_id: str, run_id: str) -> Any:
    """Wait until a training has begun, then stop it: what it would learn is not asked here. Return the run."""
    until(lambda: states(place, dag_id, run_id).get("begin", ("", 0))[0] == "success", f"{run_id} of {dag_id} to begin")
    stopped = place.send("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": "failed"})
    assert stopped.status_code == httpx.codes.OK, stopped.text
    return runs(place, dag_id)[run_id]


def post(place: Workplace, body: bytes, headers: dict[str, str]) -> httpx.Response:
    """Send an event."""
    return httpx.post(f"{place.links['airflow_url']}/tandem/events", content=body, headers=headers, timeout=30)
