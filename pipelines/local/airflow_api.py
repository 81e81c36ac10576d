"""Speak to a running Airflow over its REST API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx

from pipelines.errors import Refused, ServiceError, UsageError

API = "/api/v2"


@dataclass(frozen=True)
class LogLine:
    """One message of a task's log; of an error, its type and what it says."""

    logger: str
    text: str
    is_error: bool


class AirflowApi:
    """A signed-in client of one Airflow. Every method raises `ServiceError` when Airflow fails to answer."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=30)
        try:
            answer = self._send("POST", "/auth/token", json={"username": user, "password": password})
        except ServiceError:
            self._client.close()
            raise
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def find_dag(self, dag_id: str) -> dict[str, Any] | None:
        """Return the DAG, or None while Airflow has not read its file yet."""
        answer = self._send("GET", f"{API}/dags/{dag_id}", allow=(404,))
        return None if answer.status_code == httpx.codes.NOT_FOUND else dict(answer.json())

    def import_errors(self) -> list[str]:
        """Return what went wrong in DAG files."""
        answer = self._send("GET", f"{API}/importErrors").json()
        return [f"{error['filename']}: {error['stack_trace']}" for error in answer["import_errors"]]

    def unpause(self, dag_id: str) -> None:
        """Let the DAG's runs start."""
        self._send("PATCH", f"{API}/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Ask for a run; return False when a run of this id was there before."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        answer = self._send("POST", f"{API}/dags/{dag_id}/dagRuns", json=body, allow=(409,))
        return answer.status_code != httpx.codes.CONFLICT

    def send_event(self, event: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """Ask for a training by an event of Tandem's own, as `POST /tandem/events` takes it; return its answer.

        Args:
            event: `model`, and where wanted `reason`, `note` and `evidence`.
            key: A name of the event, so that it is one wish however often it is sent.

        Raises:
            Refused: If the user may not ask for this model's training.
            UsageError: If the event cannot be meant; says what was found and what is allowed.
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self._send("POST", "/tandem/events", json=dict(event), headers=headers, allow=(403, 409, 422))
        if answer.is_success:
            return dict(answer.json())
        refusal = Refused if answer.status_code == httpx.codes.FORBIDDEN else UsageError
        raise refusal(str(answer.json()["detail"]))

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return the state of a run."""
        return dict(self._send("GET", f"{API}/dags/{dag_id}/dagRuns/{run_id}").json())

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        answer = self._send("GET", f"{API}/dags/{dag_id}/dagRuns/{run_id}/taskInstances").json()
        return list(answer["task_instances"])

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned, or None when it returned nothing."""
        path = f"{API}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._send("GET", path, params={"deserialize": "false", "stringify": "false"}, allow=(404,))
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.json()["value"]

    def buttons(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
        """Return the addresses behind the buttons of a task instance, by name."""
        path = f"{API}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links"
        return dict(self._send("GET", path).json()["extra_links"])

    def run_ids(self, dag_id: str) -> list[str]:
        """Return the ids of the DAG's latest runs."""
        return [run["dag_run_id"] for run in self._send("GET", f"{API}/dags/{dag_id}/dagRuns").json()["dag_runs"]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def log_lines(self, dag_id: str, run_id: str, task: Mapping[str, Any]) -> list[LogLine]:
        """Return the messages that a task instance has logged so far."""
        path = f"{API}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        answer = self._send("GET", path, params={"map_index": task["map_index"]}, allow=(404,))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        return [_line(message) for message in answer.json()["content"] if isinstance(message, dict)]

    def _send(self, method: str, path: str, *, allow: tuple[int, ...] = (), **arguments: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise ServiceError(f"Airflow does not answer at {self.url}: {error}. `make up` starts it.") from error
        if answer.is_success or answer.status_code in allow:
            return answer
        raise ServiceError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")


def _line(message: Mapping[str, Any]) -> LogLine:
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in message.get("error_detail") or []]
    text = " <- ".join(errors) or str(message.get("event", ""))
    return LogLine(str(message.get("logger", "")), text, bool(errors))
