"""Kill -9 the process of each task once in a running Airflow, and end where an undisturbed run ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from pipelines.steps.run import TRAINING_STEPS
from tests.end_to_end.services import task_processes

pytestmark = pytest.mark.timeout(900)
MODEL, DAG_ID, RUN_ID = "killed", "train__killed", "killed_at_each_step"
RETRIED = ("reconcile", *TRAINING_STEPS["classic"][:-3], "register", "promote")  # all but the gate
SHORT = {"reconcile", "begin"}  # they write nothing, or one object: they are killed as soon as they are there
LOOK_AT_FILES_SECONDS, LOOK_AT_PROCESSES_SECONDS, LOOK_AT_RUN_SECONDS = 0.01, 0.1, 0.5


@dataclass
class Hunted:
    """A task's process, and the files that there were when it was first seen."""

    step: str
    map_index: int
    process: psutil.Process
    files: set[Path]


@dataclass
class Killer:
    """Kills the first attempt at each step of one run, in the middle of what it writes."""

    workplace: Any
    killed: dict[str, int] = field(default_factory=dict)  # the step, and which of its mapped tasks
    started: list[psutil.Process] = field(default_factory=list)  # by the tasks that were killed
    _hunted: dict[str, Hunted | None] = field(default_factory=dict)  # None: not to be killed

    def follow(self) -> str:
        """Return the state in which the run ends."""
        seen_processes = seen_run = 0.0
        while True:
            now = time.monotonic()
            if now - seen_processes >= LOOK_AT_PROCESSES_SECONDS:
                seen_processes = now
                self._look_for_tasks()
            if now - seen_run >= LOOK_AT_RUN_SECONDS:
                seen_run = now
                state = str(self.workplace.api.run(DAG_ID, RUN_ID)["state"])
                if state in {"success", "failed"}:
                    return state
            self._strike()
            time.sleep(LOOK_AT_FILES_SECONDS)

    def _look_for_tasks(self) -> None:
        """Find the processes of tasks, only ever among those that our own scheduler has started."""
        found = {ti_id: process for ti_id, process in task_processes() if ti_id not in self._hunted}
        if not found:
            return
        for process in found.values():  # none may end while it is asked what it is
            process.suspend()
        tasks = {task["id"]: task for task in self.workplace.api.tasks(DAG_ID, RUN_ID)}
        for ti_id, process in found.items():
            task = tasks.get(ti_id)
            first = task is not None and task["try_number"] == 1 and task["state"] in {"queued", "running"}
            hunted = Hunted(task["task_id"], task["map_index"], process, set(self._files())) if first else None
            self._hunted[ti_id] = hunted
            if hunted is None or hunted.step not in SHORT:
                process.resume()

    def _strike(self) -> None:
        now = set(self._files())
        for ti_id, hunted in self._hunted.items():
            if hunted is not None and hunted.step not in self.killed and _is_at_work(hunted, now - hunted.files):
                self._kill(hunted)
                self._hunted[ti_id] = None

    def _kill(self, hunted: Hunted) -> None:
        self.started += hunted.process.children(recursive=True)
        hunted.process.kill()
        self.killed[hunted.step] = hunted.map_index

    def _files(self) -> Iterator[Path]:
        home = self.workplace.home
        for folder in (home / "store" / MODEL, home / "mlflow" / "artifacts" / MODEL):
            yield from (path for path in folder.rglob("*") if path.is_file())


def _is_at_work(hunted: Hunted, new: set[Path]) -> bool:
    """Tell whether the step has begun to write; what writes nothing, or one object, is at work once it is there."""
    if hunted.step == "search":  # of its workers, the one that holds a claim, which must not keep the others waiting
        claims = [json.loads(path.read_text()) for path in new if path.parent.name == "claims"]
        return any(claim["worker"] == hunted.map_index for claim in claims)
    return bool(new) or hunted.step in SHORT


@pytest.fixture(scope="module")
def undisturbed(workplace: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A run of the same spec in a home of its own, which gives what an undisturbed run in Airflow gives."""
    home: Path = tmp_path_factory.mktemp("undisturbed_home")
    with ThreadPoolExecutor(1) as pool:  # beside the other run, which waits for its retries
        yield pool.submit(lambda: {**workplace.answer("run", MODEL, home=home), "home": home})


@pytest.fixture(scope="module")
def until_the_gate(workplace: Any, undisturbed: Any) -> dict[str, Any]:
    """The run that loses each task once, until its gate is killed, which is never tried again by itself."""
    workplace.trigger(MODEL, RUN_ID, {})
    killer = Killer(workplace)
    state = killer.follow()
    (status,) = workplace.answer("status", MODEL)
    return {"state": state, "killer": killer, "status": status, "tasks": states(workplace)}


@pytest.fixture(scope="module")
def to_the_end(workplace: Any, until_the_gate: dict[str, Any]) -> dict[str, Any]:
    """The same run, its gate cleared by a person, to its end."""
    body = {"dry_run": False, "dag_run_id": RUN_ID, "task_ids": ["gate"], "include_downstream": True}
    cleared = workplace.send("POST", f"/dags/{DAG_ID}/clearTaskInstances", {**body, "only_failed": False})
    assert cleared.is_success, cleared.text
    state = until_the_gate["killer"].follow()
    left = {step: workplace.api.returned(DAG_ID, RUN_ID, step) for step in ("train", "evaluate", "gate", "register")}
    return {**left, "state": state, "tasks": states(workplace)}


def states(workplace: Any) -> dict[tuple[str, int], tuple[str | None, int]]:
    return {
        (task["task_id"], task["map_index"]): (task["state"], task["try_number"])
        for task in workplace.api.tasks(DAG_ID, RUN_ID)
    }


def test_a_killed_gate_is_not_tried_again_and_lets_nothing_through(until_the_gate: dict[str, Any]) -> None:
    assert until_the_gate["state"] == "failed"
    assert until_the_gate["tasks"]["gate", -1] == ("failed", 1)
    assert until_the_gate["tasks"]["promote", -1][0] == "upstream_failed"
    assert until_the_gate["status"]["champion"] is None
    assert until_the_gate["status"]["num_entries"] == 0


def test_every_task_that_was_killed_is_tried_once_more_and_the_run_ends_well(
    until_the_gate: dict[str, Any], to_the_end: dict[str, Any]
) -> None:
    killed = until_the_gate["killer"].killed
    assert killed.keys() == {*RETRIED, "gate"}
    assert to_the_end["state"] == "success"
    for task, state in to_the_end["tasks"].items():
        assert state == ("success", 2 if killed[task[0]] == task[1] else 1), task


def test_a_killed_task_leaves_no_process_behind(until_the_gate: dict[str, Any], to_the_end: dict[str, Any]) -> None:
    started = until_the_gate["killer"].started
    assert started, "the search was killed before it had started a fit process"
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


def test_after_all_the_kills_snapshot_model_predictions_and_verdict_are_those_of_an_undisturbed_run(
    workplace: Any, undisturbed: Any, to_the_end: dict[str, Any]
) -> None:
    expected = undisturbed.result()
    for step, key in [
        ("train", "snapshot_id"),
        ("train", "model_sha256"),
        ("train", "num_trials"),
        ("evaluate", "holdout_sha256"),
        ("evaluate", "predictions_sha256"),
        ("evaluate", "metrics"),
        ("gate", "outcome"),
    ]:
        assert to_the_end[step][key] == expected[step][key], (step, key)
    model = Path("store") / expected["train"]["model_key"]
    assert (workplace.home / model).read_bytes() == (expected["home"] / model).read_bytes()
    verdict = json.loads((workplace.home / "store" / to_the_end["gate"]["verdict_key"]).read_text())
    assert verdict["results"] == expected["verdict"]["results"]


def test_after_all_the_kills_nothing_is_there_twice_and_nothing_is_left_open(
    workplace: Any, undisturbed: Any, to_the_end: dict[str, Any]
) -> None:
    (entry,) = workplace.answer("ledger", MODEL, "--verify")["entries"]
    (status,) = workplace.answer("status", MODEL)
    client = MlflowClient(workplace.links["mlflow_url"])
    (version,) = client.search_model_versions(f"name = '{MODEL}'")
    assert entry["version"] == status["alias_version"] == to_the_end["register"]["version"] == int(version.version)
    assert status["problems"] == []
    assert workplace.answer("explain", MODEL)["verified"]
    runs = client.search_runs([client.get_experiment_by_name(MODEL).experiment_id])
    assert [run.info.run_name for run in runs if run.info.status == "RUNNING"] == []
    assert len(runs) == 1 + undisturbed.result()["train"]["num_trials"]
    assert len(client.search_logged_models([runs[0].info.experiment_id])) == 1
