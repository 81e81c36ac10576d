"""The planner's score: what the ledger's trainings took beside what was forecast."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.llm.history import Training
from pipelines.records import Candidate
from pipelines.registry.ledger import append_entry, read_ledger
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.llm.forecasts import past_forecasts
from pipelines.store import Store
from pipelines.store.verified import write_record
from tests.llm.corpora import context_of


@pytest.fixture
def context(tmp_path: Any) -> Context[LlmSpec]:
    return context_of(tmp_path / "model", tmp_path)


def _promote(store: Store, version: int, action: str = "promote", **measured: Any) -> str:
    """Append a version whose training took what is given; return the key of the training's record."""
    training = Training(
        **{
            "plan_id": f"p{version}", "plan_sha256": "a" * 64, "identity": "b" * 64, "packed_sha256": "c" * 64,
            "world_size": 1, "resumed_from": None, "num_steps": 1, "best_step": 1, "base_loss": 3.0, "best_loss": 2.0,
            "num_tokens": 1, "tokens_per_second": 1.0, "seconds": 1.0, "peak_bytes": 1000, "forecast_bytes": 1000,
            "step_seconds": 1.0, "forecast_step_seconds": 1.0, "steps": (), "looks": (), **measured,
        }
    )  # fmt: skip
    training_key = write_record(store, "toy/trainings", training)
    candidate = Candidate(
        model="toy", snapshot_id="s", model_key="m", model_sha256=f"{version}" * 64, training_key=training_key,
        mlflow_run_id="r", algorithm="full", validation_metric="validation loss", validation_score=2.0, num_trials=1,
        seconds=1.0, spec_sha256="d", code_commit="e", environment_sha256="f",
    )  # fmt: skip
    candidate_key = write_record(store, "toy/candidates", candidate)
    entries = read_ledger(store, "toy")
    append_entry(
        store, "toy", entries[-1].sha256 if entries else None, action=action, version=version,
        candidate_key=candidate_key, candidate_sha256=candidate.sha256, model_sha256=candidate.model_sha256,
        verdict_key="v", verdict_sha256="0" * 64, reason="it is better", by="ada",
    )  # fmt: skip
    return training_key


def test_each_version_has_its_errors_the_newest_first_and_the_median_has_no_sign(context: Context[LlmSpec]) -> None:
    _promote(context.store, 1, peak_bytes=1000, forecast_bytes=1100, step_seconds=2.0, forecast_step_seconds=1.0)
    _promote(context.store, 2, peak_bytes=1000, forecast_bytes=600, step_seconds=2.0, forecast_step_seconds=2.2)
    _promote(context.store, 3, peak_bytes=1000, forecast_bytes=980, step_seconds=None, forecast_step_seconds=2.2)
    found = past_forecasts(context)
    assert [one["version"] for one in found["trainings"]] == [3, 2, 1]
    assert [one["memory_error"] for one in found["trainings"]] == pytest.approx([-0.02, -0.4, 0.1])
    assert [one["time_error"] for one in found["trainings"]] == [None, pytest.approx(0.1), -0.5]
    assert found["median_memory_error"] == pytest.approx(0.1)
    assert found["median_time_error"] == pytest.approx(0.3)
    assert found["problems"] == []


def test_a_version_that_serves_again_is_scored_once(context: Context[LlmSpec]) -> None:
    for version, action in ((1, "promote"), (2, "promote"), (1, "roll_back")):
        _promote(context.store, version, action)
    assert [one["version"] for one in past_forecasts(context)["trainings"]] == [2, 1]


def test_before_the_first_training_there_is_no_score(context: Context[LlmSpec]) -> None:
    assert past_forecasts(context) == {
        "trainings": [], "median_memory_error": None, "median_time_error": None, "problems": []
    }  # fmt: skip


def test_a_record_that_was_altered_or_is_gone_is_told_and_not_scored(context: Context[LlmSpec]) -> None:
    altered, gone = _promote(context.store, 1), _promote(context.store, 2)
    _promote(context.store, 3)
    context.store.write(altered, context.store.read(altered).replace(b'"peak_bytes":1000', b'"peak_bytes":1001'))
    context.store.delete(gone)
    found = past_forecasts(context)
    assert [one["version"] for one in found["trainings"]] == [3]
    assert [problem.split(":")[0] for problem in found["problems"]] == ["version 1", "version 2"]
    assert "was altered" in found["problems"][0]
