"""Say how many GPU hours the next training of a model should take, by the planner's forecast of the last one."""

from __future__ import annotations

from pydantic import ConfigDict

from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.records import Candidate, Record
from pipelines.registry.ledger import last_entry
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.store.verified import read_record


def forecast_gpu_hours(context: Context) -> float:
    """Return steps x seconds a step x GPUs of the plan by which the champion was trained, in hours.

    A run is planned long after it began, on data that nobody has packed when it does: what the champion's training was
    forecast to take is the best that can be known at its start. 0 for models that no GPU trains, and before the first
    champion; evaluation and scoring are not in it.

    Raises:
        IntegrityError: If the ledger's last entry, or a record behind it, was altered.
        StoreError: If the store does not answer.
    """
    store, spec = context.store, context.spec
    champion = last_entry(store, spec.name) if isinstance(spec, LlmSpec) else None
    if champion is None:
        return 0.0
    candidate = read_record(store, champion.candidate_key, Candidate, champion.candidate_sha256)
    training = read_record(store, candidate.training_key, _PlannedTraining)
    key = f"{spec.name}/plans/{training.plan_id}.json"
    plan = read_record(store, key, TrainingPlanDetail, training.plan_sha256)
    return plan.num_steps * plan.forecast_step_seconds * plan.world_size / 3600 if plan.launch.on_gpu else 0.0


class _PlannedTraining(Record):
    """What a `pipelines.llm.history.Training` says of its plan, without the libraries that its module needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    plan_id: str
    plan_sha256: str
