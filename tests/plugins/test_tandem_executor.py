from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import json, sys, threading
from multiprocessing import SimpleQueue
import airflow.executors.local_executor as local

def tell(**arguments):
    told.put(sorted(sys.modules))

told = SimpleQueue()
local._run_worker = tell
from tandem_executor import WarmExecutor
executor = WarmExecutor(parallelism=1)
executor.start()
print(json.dumps({"modules": told.get(), "threads": [one.name for one in threading.enumerate()]}))
"""


def worker(tmp_path: Path, **variables: str) -> dict[str, Any]:
    """Return what a worker of the executor finds imported, and the threads of the process that forks it."""
    found = subprocess.run(
        [sys.executable, "-c", WORKER],
        env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}/plugins"} | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return told


def test_workers_find_imported_what_the_steps_of_the_kinds_in_use_need_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "config" / "models").mkdir(parents=True)
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    (tmp_path / "config" / "models" / "flight_delay.yaml").write_text(text)
    (tmp_path / "config" / "models" / "broken.yaml").write_text("kind: neither\n")
    found = worker(tmp_path, TANDEM_ROOT=str(tmp_path))
    wanted = {"pipelines.steps.classic.train", "pipelines.steps.decide", "skops.io", "mlflow.sklearn"}
    wanted |= {"great_expectations", "boto3", "sklearn.ensemble"}
    assert wanted <= set(found["modules"])
    assert not {"pipelines.steps.llm.train", "transformers", "deepspeed"} & set(found["modules"])


def test_nothing_that_is_imported_ahead_has_started_a_thread_that_forks_would_miss(tmp_path: Path) -> None:
    assert worker(tmp_path)["threads"] == ["MainThread"]
