"""Kill -9 a step right before and right after each of its writes, run it again, and find the same result.

Each attempt is a forked child, so that libraries are imported once; each starts from a copy of the state that the steps
before it left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.spec import load_environment, load_model
from pipelines.steps.context import Context
from pipelines.steps.run import TRAINING_STEPS, run_step_in, step_function
from pipelines.store import open_store
from tests.faults.deadly import DeadlyStore

ROOT = Path(__file__).resolve().parents[2]
POINTS_TRIED = int(os.environ.get("TANDEM_TEST_POINTS", "2"))  # of each step, spread from before its first write on
pytestmark = pytest.mark.timeout(900)


def test_a_step_killed_at_any_write_gives_the_same_result_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_small_spec(tmp_path, monkeypatch)
    for step in TRAINING_STEPS["classic"]:
        step_function(step, "classic")  # imported once, before the children are forked
    home = tmp_path / "home"
    home.mkdir()
    left: dict[str, Any] = {}
    for step in TRAINING_STEPS["classic"]:
        before = tmp_path / "before"
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(home, before)
        left[step], num_points = _attempt(home, step, left, point=None)
        assert num_points or step in {"plan", "register"}, f"{step} wrote nothing to the store"
        for point in sorted(
            {int(place) for place in np.linspace(0, num_points - 1, POINTS_TRIED)} if num_points else ()
        ):
            trial = tmp_path / "trial"
            shutil.rmtree(trial, ignore_errors=True)
            shutil.copytree(before, trial)
            _kill(trial, step, left, point)
            again, _ = _attempt(trial, step, left, point=None)
            assert _essence(step, again) == _essence(step, left[step]), f"{step} killed at point {point}"


def _use_small_spec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    for found, wanted in {
        "data_end: 2013-04-01": "data_end: 2013-01-15",
        "last_days: 14": "last_days: 4",
        "budget: {seconds: 90}": "budget: {trials: 2}",
        "slices: [origin]": "slices: [origin]\n  bootstrap_samples: 100",
        "minimum: 0.62": "minimum: 0.50",
        "minimum: 0.55": "minimum: 0.40",
    }.items():
        assert found in text, found
        text = text.replace(found, wanted)
    models = folder / "root" / "config" / "models"
    models.mkdir(parents=True)
    (models / "flight_delay.yaml").write_text(text)
    (folder / "root" / "config" / "environments").symlink_to(ROOT / "config" / "environments")
    monkeypatch.setenv("TANDEM_ROOT", str(folder / "root"))


def _attempt(home: Path, step: str, left: dict[str, Any], point: int | None) -> tuple[Any, int]:
    """Run the step in a child to its end; return the record that it left, and how many points it passed."""
    status = _run_child(home, step, left, point)
    assert os.waitstatus_to_exitcode(status) == 0, f"{step} raised; its error stands above"
    record, num_points = json.loads((home.parent / "answer.json").read_text())
    return record, num_points


def _kill(home: Path, step: str, left: dict[str, Any], point: int) -> None:
    """Run the step in a child that dies at the point; a search that races its own clock may be over before."""
    assert os.waitstatus_to_exitcode(_run_child(home, step, left, point)) in {-signal.SIGKILL, 0}


def _run_child(home: Path, step: str, left: dict[str, Any], point: int | None) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.environ["TANDEM_HOME"] = str(home)
            environment = load_environment()
            store = DeadlyStore(open_store(environment.store), point)
            context = Context(load_model("flight_delay"), environment, store)
            record = run_step_in(context, step, *_arguments(step, left))
            (home.parent / "answer.json").write_text(json.dumps([record, store.passed]))
            os._exit(0)
        finally:  # never back into pytest
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def _arguments(step: str, left: dict[str, Any]) -> list[Any]:
    return {
        "begin": lambda: [{"window": {"start": None, "end": None}, "by": "test", "run_id": "killed"}],
        "ingest": lambda: [left["begin"]],
        "validate": lambda: [left["ingest"]],
        "snapshot": lambda: [left["validate"]],
        "plan": lambda: [left["snapshot"], left["begin"]],
        "search": lambda: [left["plan"], 0],
        "train": lambda: [left["plan"], [left["search"]]],
        "evaluate": lambda: [left["train"]],
        "gate": lambda: [left["train"], left["evaluate"]],
        "register": lambda: [left["gate"]],
        "promote": lambda: [left["register"], "test"],
    }[step]()


def _essence(step: str, record: dict[str, Any]) -> Any:
    """Leave out what may differ: times, and for ingest which partitions were new to this attempt."""
    match step:
        case "begin":
            return {key: value for key, value in record.items() if key != "as_of"}
        case "ingest":
            return {key: value for key, value in record.items() if key != "new"}
        case "search":
            return record["worker"]  # it counts the trials of its own life; the next step shows that none is missing
        case "plan":
            return {key: value for key, value in record.items() if key != "mlflow_run_id"}
        case "train":
            return record["model_sha256"], record["algorithm"], record["validation_score"]
        case "promote":
            return record["version"], record["ledger_seq"]
    return record
