"""The time from step to step of a chain of trivial tasks in Airflow, with the settings that Tandem ships.

From the start of one task to the start of the next: what the task's own process and the scheduler cost together.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import ROOT, median, report

NUM_TASKS = 10
ROUNDS = 5
DAG_FILE = f"""
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.operator import chain

class Nothing(BaseOperator):
    def execute(self, context):
        return None

with DAG("chain", schedule=None):
    chain(*[Nothing(task_id=f"task_{{number}}") for number in range({NUM_TASKS})])
"""


def main() -> int:
    """Start an Airflow of its own, run the chain several times, and print the median gap."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "config").symlink_to(ROOT / "config")
        (root / "plugins").mkdir()
        (root / "dags").mkdir()
        (root / "dags" / "chain.py").write_text(DAG_FILE)
        os.environ |= {"TANDEM_ROOT": str(root), "TANDEM_HOME": str(root / "var")}
        gaps = _measure()
    gap = median(gaps)
    print(f"{ROUNDS} chains of {NUM_TASKS}, start to start: {min(gaps):.2f} to {max(gaps):.2f} s, median {gap:.2f} s")
    return 0 if report("chained_tasks", gap, "s", 0.35, "Metaflow with a process a step: 0.35 s") else 1


def _measure() -> list[float]:
    from pipelines.local.airflow_api import AirflowApi
    from pipelines.local.services import down, up
    from pipelines.local.settings import USER, password
    from pipelines.spec import load_environment

    environment = load_environment()
    try:
        with AirflowApi(up(environment).airflow_url, USER, password(environment)) as api:
            while api.find_dag("chain") is None:
                time.sleep(0.5)
            api.unpause("chain")
            time.sleep(10)  # the services have just started; what is measured is a quiet machine
            return [gap for number in range(ROUNDS) for gap in _run(api, f"run_{number}")]
    finally:
        down(environment)


def _run(api: Any, run_id: str) -> list[float]:
    api.trigger("chain", run_id, {})
    while api.run("chain", run_id)["state"] not in {"success", "failed"}:
        time.sleep(1)
    tasks = sorted(api.tasks("chain", run_id), key=lambda task: task["start_date"])
    assert len(tasks) == NUM_TASKS, tasks
    starts = [datetime.fromisoformat(task["start_date"]).timestamp() for task in tasks]
    return [after - before for before, after in pairwise(starts)]


if __name__ == "__main__":
    sys.exit(main())
