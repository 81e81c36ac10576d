from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError
from pipelines.llm.history import Training
from pipelines.llm.planner.detail import Launch
from pipelines.records import Candidate, sha256_of
from pipelines.registry.ledger import append_entry
from pipelines.spec import LlmSpec
from pipelines.spec.watching import Retraining
from pipelines.steps.context import Context
from pipelines.steps.gpu_hours import forecast_gpu_hours
from pipelines.steps.request import request
from pipelines.store.memory import MemoryStore
from pipelines.store.verified import write_record
from tests.llm.corpora import context_of as llm_context_of
from tests.llm.training import make_plan
from tests.steps.deciding import begun, context_of, wish


@pytest.fixture
def context(tmp_path: Path) -> Context[LlmSpec]:
    return llm_context_of(tmp_path / "model", tmp_path)


def _promote(context: Context[LlmSpec], *, on_gpu: bool) -> str:
    """Make a champion whose training was planned at 600 steps of 3 s on 8 GPUs; return the plan's key."""
    store, model = context.store, context.spec.name
    launch = Launch(nodes=2, processes_per_node=4, rendezvous="a:1", threads=None, on_gpu=on_gpu)
    plan = make_plan().model_copy(
        update={"num_steps": 600, "forecast_step_seconds": 3.0, "world_size": 8, "launch": launch}
    )
    plan_key = f"{model}/plans/p1.json"
    store.write(plan_key, plan.to_bytes())
    training = Training(
        plan_id="p1", plan_sha256=sha256_of(plan.to_bytes()), identity="b", packed_sha256="c", world_size=8,
        resumed_from=None, num_steps=600, best_step=1, base_loss=3.0, best_loss=2.0, num_tokens=1, seconds=1.0,
        tokens_per_second=1.0, peak_bytes=1, forecast_bytes=1, step_seconds=1.0, forecast_step_seconds=3.0, steps=(),
        looks=(),
    )  # fmt: skip
    candidate = Candidate(
        model=model, snapshot_id="s", model_key="m", model_sha256="1" * 64, mlflow_run_id="r", algorithm="full",
        training_key=write_record(store, f"{model}/trainings", training), validation_metric="loss", seconds=1.0,
        validation_score=2.0, num_trials=1, spec_sha256="d", code_commit="e", environment_sha256="f",
    )  # fmt: skip
    hashes: dict[str, Any] = {
        "candidate_sha256": candidate.sha256,
        "model_sha256": "1" * 64,
        "verdict_sha256": "0" * 64,
    }
    candidate_key = write_record(store, f"{model}/candidates", candidate)
    named = {"candidate_key": candidate_key, "verdict_key": "v", "reason": "it is better", "by": "ada"}
    append_entry(store, model, None, action="promote", version=1, **hashes, **named)
    return plan_key


def test_the_next_training_is_forecast_to_take_the_gpu_hours_of_the_champions_plan(context: Context[LlmSpec]) -> None:
    _promote(context, on_gpu=True)
    assert forecast_gpu_hours(context) == pytest.approx(4.0)  # 600 x 3 s x 8


def test_without_a_gpu_or_a_champion_none_is_forecast(context: Context[LlmSpec]) -> None:
    assert forecast_gpu_hours(context) == 0.0
    _promote(context, on_gpu=False)
    assert forecast_gpu_hours(context) == 0.0
    assert forecast_gpu_hours(context_of(MemoryStore())) == 0.0


def test_a_plan_that_was_altered_is_not_believed(context: Context[LlmSpec]) -> None:
    key = _promote(context, on_gpu=True)
    context.store.write(key, context.store.read(key).replace(b'"num_steps":600', b'"num_steps":1'))
    with pytest.raises(IntegrityError, match="was altered"):
        forecast_gpu_hours(context)


def test_a_retraining_waits_for_its_weekly_gpu_hours(context: Context[LlmSpec]) -> None:
    _promote(context, on_gpu=True)
    rules = Retraining(cooldown_days=0, weekly_gpu_hours=7)
    bounded = Context(context.spec.model_copy(update={"retraining": rules}), context.environment, context.store)
    model = context.spec.name
    begun(bounded, request(bounded, wish(1, model=model), "2013-05-01"), as_of="2013-05-01")
    second = request(bounded, wish(2, model=model), "2013-05-02")
    assert second.run_after == "2013-05-08T00:00:00+00:00"
    assert "7 GPU hours in 7 days; the next run is forecast to take 4.00" in second.reasons[-1]
