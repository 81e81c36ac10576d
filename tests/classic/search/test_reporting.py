from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.reporting import TrialReporter
from pipelines.classic.search.trials import TrialResult
from pipelines.registry import runs
from pipelines.registry.connection import connect
from pipelines.spec.environment import Environment

NUM_TRIALS = 10


def trial(fold: int, status: str = "done", loss: float | None = 0.5) -> TrialResult:
    configuration = Configuration(name="linear", family="linear", style="dense", params={"strength": 2.0})
    return TrialResult(configuration=configuration, fold=fold, status=status, loss=loss, seconds=1.5)


@pytest.fixture
def run_id(environment: Environment) -> str:
    """An open run in an experiment of its own."""
    client = connect(environment)
    return str(client.create_run(client.create_experiment("m")).info.run_id)


def test_trials_are_shown_as_runs_with_scores_and_what_was_tried(
    environment: Environment, run_id: str, planned: Callable[..., Any]
) -> None:
    with TrialReporter(environment, run_id, planned()[0]) as reporter:
        reporter(trial(0))
        reporter(trial(1, "cut_off", None))
    client = connect(environment)
    nested = client.search_runs([client.get_run(run_id).info.experiment_id], f"tags.`{runs.PARENT_TAG}` = '{run_id}'")
    shown = {run.data.params["fold"]: run for run in nested}
    assert shown["0"].data.metrics == {"seconds": 1.5, "log_loss": 0.5}
    assert shown["0"].data.params["param.strength"] == "2.0"
    assert shown["0"].info.status == "FINISHED"
    assert "log_loss" not in shown["1"].data.metrics
    assert shown["1"].info.status == "KILLED"


def test_telling_a_trial_takes_the_search_no_time(
    environment: Environment, run_id: str, planned: Callable[..., Any]
) -> None:
    with TrialReporter(environment, run_id, planned()[0]) as reporter:
        started = time.perf_counter()
        for fold in range(NUM_TRIALS):
            reporter(trial(fold))
        assert time.perf_counter() - started < 0.05 * NUM_TRIALS
