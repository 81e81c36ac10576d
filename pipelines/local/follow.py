"""Follow one Airflow run to its end and tell, line by line, what happens in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipelines.local.airflow_api import AirflowApi

POLL_SECONDS = 1.0
OVER = {"success", "failed"}
TASK_OVER = {"success", "failed", "skipped", "upstream_failed", "removed"}
OWN_LOGGER = "pipelines."


@dataclass
class Follower:
    """Remembers what was told already, so that each state and each log line is told once."""

    api: AirflowApi
    dag_id: str
    run_id: str
    tell: Callable[[str], None]
    _states: dict[str, str] = field(default_factory=dict)
    _told_lines: dict[str, int] = field(default_factory=dict)

    def follow(self) -> str:
        """Return the run's last state, `success` or `failed`. Raises `ServiceError`."""
        while True:
            state = str(self.api.run(self.dag_id, self.run_id)["state"])
            for task in sorted(self.api.tasks(self.dag_id, self.run_id), key=lambda task: task["start_date"] or "~"):
                self._tell_task(task)
            if state in OVER:
                return state
            time.sleep(POLL_SECONDS)

    def _tell_task(self, task: dict[str, Any]) -> None:
        name = task["task_id"] if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"
        state = task["state"] or "none"
        before = self._states.get(name)
        if before in TASK_OVER and before == state:
            return
        if state in {"running", *TASK_OVER}:
            self._tell_lines(name, task)
        if state != before and state in {"up_for_retry", *TASK_OVER}:
            self.tell(f"{name:<12} {state} after {task['duration'] or 0:.1f} s")
        elif state != before and state == "running":
            self.tell(f"{name:<12} running")
        self._states[name] = state

    def _tell_lines(self, name: str, task: dict[str, Any]) -> None:
        attempt = f"{name}#{task['try_number']}"
        lines = [
            line
            for line in self.api.log_lines(self.dag_id, self.run_id, task)
            if line.logger.startswith(OWN_LOGGER) or line.is_error
        ]
        for line in lines[self._told_lines.get(attempt, 0) :]:
            self.tell(f"{name:<12}   {line.text}")
        self._told_lines[attempt] = len(lines)
