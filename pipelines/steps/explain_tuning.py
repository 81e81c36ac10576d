"""The links between a fine-tuned model and the plan and packed corpus that it was trained with."""

from __future__ import annotations

from typing import Any

from pipelines.llm.history import Training
from pipelines.llm.keys import packed_key, plan_key
from pipelines.llm.packing.manifest import PackedManifest
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.records import Candidate
from pipelines.registry.chain import Chain
from pipelines.steps.context import Context
from pipelines.steps.explain_links import follow_file
from pipelines.store.verified import read_record


def follow_tuning(context: Context, chain: Chain, candidate: Candidate) -> None:
    """Follow the record of the training, its plan, and every file of the corpus that it learnt."""
    store, model, key = context.store, candidate.model, candidate.training_key
    training = chain.follow("training record", lambda: read_record(store, key, Training), _training_says, key)
    if training is None:
        return
    plan = plan_key(model, training.plan_id)
    chain.follow(
        "plan",
        lambda: read_record(store, plan, TrainingPlanDetail, training.plan_sha256),
        lambda found: {"zero_stage": found.zero_stage, "num_steps": found.num_steps, "deepspeed": found.deepspeed},
        plan,
        training.plan_sha256,
    )
    sha256 = training.packed_sha256
    manifest = packed_key(model, sha256)
    packed = chain.follow(
        "packed corpus",
        lambda: read_record(store, manifest, PackedManifest, sha256),
        lambda found: {"snapshot_id": found.snapshot_id, "left_out": found.left_out.to_dict()},
        manifest,
        sha256,
    )
    for file in packed.files if packed else ():
        follow_file(context, chain, f"packed {file.path}", packed_key(model, sha256, file.path), file.content_sha256)


def _training_says(training: Training) -> dict[str, Any]:
    """Return what came of the training, and how far the planner's forecast was off."""
    return {
        "best_step": training.best_step,
        "base_loss": training.base_loss,
        "best_loss": training.best_loss,
        "base_general_loss": training.base_general_loss,
        "best_general_loss": training.best_general_loss,
        "resumed_from": training.resumed_from,
        "peak_bytes": training.peak_bytes,
        "forecast_bytes": training.forecast_bytes,
        "step_seconds": training.step_seconds,
        "forecast_step_seconds": training.forecast_step_seconds,
    }
