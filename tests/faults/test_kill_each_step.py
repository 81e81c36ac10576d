"""Kill -9 a step right before and right after each of its writes, run it again, and find the same result.

Each attempt is a forked child, so that libraries are imported once; each starts from a copy of the state that the steps
before it left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from pipelines.spec import load_environment, load_model
from pipelines.steps.context import Context
from pipelines.steps.run import TRAINING_STEPS, run_step_in
from pipelines.store import ObjectInfo, Store, open_store

ROOT = Path(__file__).resolve().parents[2]
MOST_POINTS = 60
pytestmark = pytest.mark.timeout(900)


class DeadlyStore:
    """A store that kills its process at one chosen point: an even number before a write, an odd one after it."""

    def __init__(self, store: Store, point: int) -> None:
        self.root = store.root
        self._store = store
        self._point = point
        self._passed = 0

    def _around(self, write: Callable[[], ObjectInfo]) -> ObjectInfo:
        self._pass()
        info = write()
        self._pass()
        return info

    def _pass(self) -> None:
        if self._passed == self._point:
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1

    def read(self, key: str) -> bytes:
        return self._store.read(key)

    def open(self, key: str) -> BinaryIO:
        return self._store.open(key)

    def write(self, key: str, data: bytes) -> ObjectInfo:
        return self._around(lambda: self._store.write(key, data))

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        return self._around(lambda: self._store.put_if_absent(key, data))

    def compare_and_swap(self, key: str, data: bytes, expected_tag: str) -> ObjectInfo:
        return self._around(lambda: self._store.compare_and_swap(key, data, expected_tag))

    def upload(self, key: str, path: Path) -> ObjectInfo:
        return self._around(lambda: self._store.upload(key, path))

    def fetch(self, key: str) -> Any:
        return self._store.fetch(key)

    def stat(self, key: str) -> ObjectInfo | None:
        return self._store.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)


def test_a_step_killed_at_any_write_gives_the_same_result_when_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_small_spec(tmp_path, monkeypatch)
    home = tmp_path / "home"
    home.mkdir()
    left: dict[str, Any] = {}
    for step in TRAINING_STEPS:
        before = tmp_path / "before"
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(home, before)
        finished, left[step] = _attempt(home, step, left, point=None)
        assert finished, f"{step} fails undisturbed"
        killed = 0
        for point in range(MOST_POINTS):
            trial = tmp_path / "trial"
            shutil.rmtree(trial, ignore_errors=True)
            shutil.copytree(before, trial)
            finished, _ = _attempt(trial, step, left, point)
            if finished:
                break
            killed += 1
            finished, again = _attempt(trial, step, left, point=None)
            assert finished, f"{step} killed at point {point} cannot be run again"
            assert _essence(step, again) == _essence(step, left[step]), f"{step} killed at point {point}"
        assert finished, f"{step} has more than {MOST_POINTS} points"
        assert killed >= 2 or step in {"plan", "register"}, f"{step} wrote nothing to the store"


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


def _attempt(home: Path, step: str, left: dict[str, Any], point: int | None) -> tuple[bool, Any]:
    """Run the step in a child; return whether it lived, and the record that it left."""
    answer = home.parent / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            os.environ["TANDEM_HOME"] = str(home)
            environment = load_environment()
            store = open_store(environment.store)
            context = Context(
                load_model("flight_delay"), environment, store if point is None else DeadlyStore(store, point)
            )
            answer.write_text(json.dumps(run_step_in(context, step, *_arguments(step, left))))
            os._exit(0)
        finally:  # never back into pytest
            import traceback

            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False, None
    assert os.WEXITSTATUS(status) == 0, f"{step} raised; its error stands above"
    return True, json.loads(answer.read_text())


def _arguments(step: str, left: dict[str, Any]) -> list[Any]:
    request = {"window": {"start": None, "end": None}, "by": "test"}
    return {
        "ingest": lambda: [request],
        "validate": lambda: [left["ingest"]],
        "snapshot": lambda: [left["validate"]],
        "plan": lambda: [left["snapshot"], request],
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
        case "ingest":
            return {key: value for key, value in record.items() if key != "new"}
        case "search":
            return record["worker"]  # it counts the trials of its own life; the next step shows that none is missing
        case "plan":
            return {key: value for key, value in record.items() if key != "mlflow_run_id"}
        case "train":
            return record["model_sha256"], record["algorithm"], record["cv_score"]
        case "promote":
            return record["version"], record["ledger_seq"]
    return record
