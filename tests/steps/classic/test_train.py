"""From a snapshot to a candidate: plan, search and train on a store, MLflow and processes that are real."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.classic.estimators.prediction import predict
from pipelines.classic.evaluation.models import load_candidate
from pipelines.classic.search.schedule import differing_trials, replay
from pipelines.classic.search.trials import Schedule
from pipelines.data.snapshots import read_training, training_view
from pipelines.errors import HoldoutRefused
from pipelines.records import Candidate, RunRequest, SearchPlan, sha256_of
from pipelines.registry.connection import connect
from pipelines.steps.classic.plan import plan
from pipelines.steps.classic.search import search
from pipelines.steps.classic.train import train
from pipelines.steps.context import Context
from pipelines.store.files import FileStore
from pipelines.store.verified import read_record

TRIALS = 6


@pytest.fixture(autouse=True)
def one_fit_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_FIT_JOBS", "1")


def run(workshop: Any, workers: int = 1, trials: int = TRIALS) -> tuple[SearchPlan, Candidate]:
    context = workshop.context
    planned = plan(context, workshop.snapshot, RunRequest(budget_trials=trials))
    shares: list[Any] = []
    threads = [
        threading.Thread(target=lambda worker=worker: shares.append(search(context, planned, worker)))
        for worker in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return planned, train(context, planned, shares)


def test_a_candidate_is_made_shown_and_replayed(workshop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="pipelines")
    context = workshop.context
    planned, candidate = run(workshop)
    training = context.spec.training
    assert candidate.num_trials == TRIALS
    assert candidate.spec_sha256 == context.spec.sha256
    assert read_record(context.store, f"tiny/candidates/{candidate.sha256}.json", Candidate) == candidate
    model = load_candidate(context.store, candidate)  # compares the hash
    rows = read_training(context.store, planned.snapshot)
    assert predict(model, rows, training).shape == (rows.num_rows, 2)

    schedule = Schedule.model_validate_json(context.store.read(candidate.training_key))
    assert schedule.snapshot_id == planned.snapshot.snapshot_id
    assert candidate.algorithm == schedule.algorithm
    assert (predict(replay(schedule, rows, training), rows, training) == predict(model, rows, training)).all()
    assert differing_trials(schedule, rows, training) == []

    client = connect(context.environment)
    own = client.get_run(planned.mlflow_run_id)
    assert own.data.metrics["cv_log_loss"] == candidate.validation_score
    assert own.data.params["budget_trials"] == str(TRIALS)
    nested = client.search_runs([own.info.experiment_id], f"tags.`mlflow.parentRunId` = '{own.info.run_id}'")
    assert len(nested) == TRIALS
    assert all("log_loss" in trial.data.metrics for trial in nested)
    lines = [record.getMessage() for record in caplog.records]
    assert sum(" fold " in line and "best fold" in line for line in lines) == TRIALS

    before = {info.key: info.tag for info in context.store.list()}
    assert run(workshop) == (planned, candidate)  # the same again: found, and nothing written
    assert {info.key: info.tag for info in context.store.list()} == before


def test_a_spec_with_other_gates_judges_the_same_model_anew_and_trains_nothing(workshop: Any) -> None:
    planned, before = run(workshop)
    spec = workshop.context.spec
    gates = spec.gates.model_copy(update={"minimum_rows": spec.gates.minimum_rows + 1})
    changed = spec.model_copy(update={"gates": gates})
    context = Context(changed, workshop.context.environment, workshop.context.store)
    objects = {info.key for info in context.store.list("tiny/searches")}
    after = train(context, planned, [])
    assert after == before.model_copy(update={"spec_sha256": changed.sha256})
    assert read_record(context.store, f"tiny/candidates/{after.sha256}.json", Candidate) == after
    assert {info.key for info in context.store.list("tiny/searches")} - objects == {
        f"{planned.search_key}/candidates/{changed.sha256}.json"
    }


def test_two_workers_make_the_model_that_one_makes(workshop: Any, tmp_path: Path) -> None:
    _, alone = run(workshop)
    other = type(workshop)(
        Context(workshop.context.spec, workshop.context.environment, fresh(workshop)), workshop.snapshot
    )
    _, together = run(other, workers=2)
    assert together.model_sha256 == alone.model_sha256
    assert together.validation_score == alone.validation_score


def test_a_search_that_nobody_finished_is_finished_by_train(workshop: Any) -> None:
    _, expected = run(workshop)
    context = Context(workshop.context.spec, workshop.context.environment, fresh(workshop))
    planned = plan(context, workshop.snapshot, RunRequest(budget_trials=TRIALS))
    assert train(context, planned, []).model_sha256 == expected.model_sha256


def test_training_is_shown_nothing_of_the_holdout(workshop: Any) -> None:
    context = workshop.context
    view = training_view(context.store, workshop.snapshot)
    holdout = next(info.key for info in context.store.list("tiny/holdout/"))
    with pytest.raises(HoldoutRefused):
        view.read(holdout)


def fresh(workshop: Any) -> Any:
    """Return a store with the snapshot and nothing of a search."""
    copied = type(workshop.context.store)()
    for info in workshop.context.store.list():
        if not info.key.startswith(("tiny/searches", "tiny/models", "tiny/candidates")):
            copied.write(info.key, workshop.context.store.read(info.key))
    return copied


STEPS = """
import json, sys
from pathlib import Path
from pipelines.records import RunRequest, SearchPlan, SnapshotRef
from pipelines.spec.environment import Environment
from pipelines.spec.model import ClassicSpec
from pipelines.steps.context import Context
from pipelines.steps.classic.plan import plan
from pipelines.steps.classic.search import search
from pipelines.steps.classic.train import train
from pipelines.store.files import FileStore
given = json.loads(Path(sys.argv[1]).read_text())
environment, store = Environment.model_validate(given["environment"]), FileStore(Path(given["store"]))
context = Context(ClassicSpec.model_validate(given["spec"]), environment, store)
planned = plan(context, SnapshotRef.model_validate(given["snapshot"]), RunRequest(budget_trials=given["trials"]))
share = search(context, planned, 0)
print(train(context, planned, [share]).model_sha256)
"""


def test_killed_at_any_moment_and_run_again_it_ends_with_the_same_model(workshop: Any, tmp_path: Path) -> None:
    planned, expected = run(workshop)
    folder = tmp_path / "objects"
    store = FileStore(folder)
    for info in fresh(workshop).list():
        store.write(info.key, workshop.context.store.read(info.key))
    given = {
        "spec": workshop.context.spec.model_dump(mode="json"),
        "environment": workshop.context.environment.model_dump(mode="json"),
        "store": str(folder),
        "snapshot": workshop.snapshot.to_dict(),
        "trials": TRIALS,
    }
    path = tmp_path / "given.json"
    path.write_text(json.dumps(given))
    command = [sys.executable, "-c", STEPS, str(path)]

    def when(happened: Callable[[], bool]) -> None:
        """Run the steps, kill them when something has happened, with no chance to tidy up."""
        with subprocess.Popen(command, start_new_session=True) as process:
            until = time.monotonic() + 120
            while process.poll() is None and not happened() and time.monotonic() < until:
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it could be killed"
            os.killpg(process.pid, signal.SIGKILL)

    def count(prefix: str) -> int:
        return sum(1 for _ in store.list(prefix))

    results = f"{planned.search_key}/results/"
    when(lambda: count(results) > 0)
    when(lambda: count(results) >= TRIALS // 2)
    when(lambda: count("tiny/models/") > 0)
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    assert ended.stdout.split()[-1] == expected.model_sha256
    assert count("tiny/candidates/") == 1
    assert sha256_of(store.read(f"tiny/models/{expected.model_sha256}/model.skops")) == expected.model_sha256
