"""Fix a fine-tuning before any of it runs: how it is run, what it should take; and open its run in MLflow."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import ValidationError

from pipelines.errors import IntegrityError, UsageError
from pipelines.llm.keys import plan_key
from pipelines.llm.planner.choose import choose
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.llm.planner.machine import Machine, describe_machine
from pipelines.llm.planner.options import gigabytes
from pipelines.llm.planner.shape import read_shape
from pipelines.llm.pretrained import PretrainedFolder, open_pretrained
from pipelines.records import Packed, RunRequest, TuningPlan, sha256_of
from pipelines.registry import runs
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.store import Store
from pipelines.store.verified import put_first

LOG = logging.getLogger(__name__)

PLAN_FORM = 2  # raised when the plan's record changes, so that an older one is not read back


def plan(context: Context[LlmSpec], packed: Packed, request: RunRequest) -> TuningPlan:
    """Write the plan of a fine-tuning and return where it is; the same corpus, model and settings give the same plan.

    Raises:
        UsageError: If nothing that the spec allows fits into memory (says what would), or the request has a budget.
        RegistryError: If MLflow does not answer.
    """
    _refuse_a_budget(request)
    spec = context.spec
    home = context.environment.home
    pretrained = open_pretrained(spec.pretrained, home)
    if pretrained.sha256 != packed.pretrained_sha256:
        raise UsageError(
            f"The corpus was packed for pretrained model {packed.pretrained_sha256[:16]}, and {pretrained.folder} is "
            f"{pretrained.sha256[:16]}: its tokens may mean other words. Pack it again; nothing was planned."
        )
    machine = describe_machine(spec.hardware, home)
    identity = plan_identity(spec, packed, machine)
    key = plan_key(spec.name, identity[:32])  # half a hash: it names the question, not these bytes
    detail = _read(context.store, key) or _write(context.store, key, _choose(spec, pretrained, machine, packed))
    LOG.info("%s", headline(detail))
    run_id = _open_run(context, packed, identity, detail, request)
    return TuningPlan(
        model=spec.name,
        packed=packed,
        plan_key=key,
        plan_sha256=sha256_of(detail.to_bytes()),
        mlflow_run_id=run_id,
        world_size=detail.world_size,
        num_steps=detail.num_steps,
        zero_stage=detail.zero_stage,
        forecast_bytes=detail.forecast_bytes_per_process,
        forecast_step_seconds=detail.forecast_step_seconds,
    )


def plan_identity(spec: LlmSpec, packed: Packed, machine: Machine) -> str:
    """Return the hash of all that determines a training: corpus, model, settings, processes and their memory.

    Measured speeds are left out, so that a busy hour does not make another plan of the same training.
    """
    return sha256_of(
        {
            "form": PLAN_FORM,
            "packed": packed.manifest_sha256,
            "pretrained": packed.pretrained_sha256,
            "training": spec.training.model_dump(mode="json"),
            "hardware": spec.hardware.model_dump(mode="json"),
            "on_gpu": machine.on_gpu,
            "memory_gib": machine.memory_bytes // 1024**3,
        }
    )


def headline(detail: TrainingPlanDetail) -> str:
    """Return a plan in one line for people."""
    words = [f"ZeRO-{detail.zero_stage}"]
    words += ["offload"] if detail.offload else []
    words += ["activation checkpointing"] if detail.activation_checkpointing else []
    return (
        f"{', '.join(words)}; {detail.num_steps} steps of {detail.micro_batch} x {detail.accumulation_steps} sequences "
        f"on {detail.world_size} process(es); forecast {gigabytes(detail.forecast_bytes_per_process)} a process, "
        f"{detail.forecast_step_seconds:.2f} s a step, {detail.forecast_seconds / 60:.1f} min in all"
    )


def _choose(spec: LlmSpec, pretrained: PretrainedFolder, machine: Machine, packed: Packed) -> TrainingPlanDetail:
    shape = read_shape(pretrained.folder, spec.training)
    share = packed.num_answer_tokens / max(1, packed.num_sequences * packed.sequence_length)
    return choose(shape, spec.training, spec.hardware, machine, packed.num_sequences, min(1.0, share))


def _refuse_a_budget(request: RunRequest) -> None:
    asked = [
        f"{name} {value:g}"
        for name, value in (("budget_seconds", request.budget_seconds), ("budget_trials", request.budget_trials))
        if value is not None
    ]
    if asked:
        raise UsageError(
            f"The request asks for {' and '.join(asked)}, which bound a search; a fine-tuning is as long as "
            "'training.epochs' and 'training.max_steps' of its spec say. Nothing was planned."
        )


def _read(store: Store, key: str) -> TrainingPlanDetail | None:
    """Return the plan that was made before: a retry goes on from its checkpoints, so it must stay the same."""
    return None if store.stat(key) is None else _parsed(key, store.read(key))


def _parsed(key: str, data: bytes) -> TrainingPlanDetail:
    try:
        return TrainingPlanDetail.model_validate_json(data)
    except ValidationError as error:
        raise IntegrityError(f"{key} is no plan of a training: {error}. Delete it to plan again.") from error


def _write(store: Store, key: str, detail: TrainingPlanDetail) -> TrainingPlanDetail:
    data = detail.to_bytes()
    found = put_first(store, key, data)
    return detail if found == data else _parsed(key, found)


def _open_run(
    context: Context[LlmSpec], packed: Packed, identity: str, detail: TrainingPlanDetail, request: RunRequest
) -> str:
    environment, spec = context.environment, context.spec
    tags = {"tandem.snapshot_id": packed.snapshot.snapshot_id, "tandem.spec_sha256": spec.sha256}
    run_id = runs.find_or_create_run(environment, spec, identity, tags)
    runs.log_params(environment, run_id, _params(spec, packed, detail))
    if request.note:
        runs.set_tags(environment, run_id, {"tandem.note": request.note})
    return run_id


def _params(spec: LlmSpec, packed: Packed, detail: TrainingPlanDetail) -> dict[str, Any]:
    training = spec.training
    return {
        "method": training.method,
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        "precision": training.precision,
        "seed": training.seed,
        "sequence_length": packed.sequence_length,
        "sequences_per_step": training.sequences_per_step,
        "num_sequences": packed.num_sequences,
        "num_tokens": packed.num_tokens,
        "num_parameters": detail.num_parameters,
        "num_trainable": detail.num_trainable,
        "num_steps": detail.num_steps,
        "world_size": detail.world_size,
        "zero_stage": detail.zero_stage,
        "offload": detail.offload,
        "activation_checkpointing": detail.activation_checkpointing,
        "micro_batch": detail.micro_batch,
        "accumulation_steps": detail.accumulation_steps,
        "forecast_bytes": detail.forecast_bytes_per_process,
        "forecast_step_seconds": detail.forecast_step_seconds,
        "forecast_seconds": detail.forecast_seconds,
        "forecast_cost": detail.cost,
    }
