"""Give a model to DeepSpeed, with the planner's settings and our own optimizer."""

from __future__ import annotations

import logging
import os
from typing import Any

import deepspeed
import torch
from deepspeed.runtime.engine import DeepSpeedEngine
from torch import nn
from transformers.integrations import HfDeepSpeedConfig

from pipelines.llm.job import TrainingJob

_SHARED_MEMORY_OPERATOR = "deepspeed_shm_comm"
_CACHED_ELEMENTS = 500_000
_SILENT = 1_000_000_000  # steps between two of DeepSpeed's own reports


def join_processes(on_gpu: bool) -> None:
    """Meet the other processes of the training; one alone meets itself.

    DeepSpeed would compile an operator for 70 seconds first, on processors only, which nothing but its inference calls:
    it is marked as not to be had.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    if on_gpu:
        torch.cuda.set_device(local_device(on_gpu))
    else:
        deepspeed.ops.__compatible_ops__[_SHARED_MEMORY_OPERATOR] = False
    deepspeed.init_distributed(dist_backend="nccl" if on_gpu else "gloo", verbose=False)


def configuration(job: TrainingJob, from_universal: bool) -> dict[str, Any]:
    """Return the planner's settings with what does not depend on the plan.

    `from_universal` says that the checkpoint to go on from was written by another number of processes.
    """
    chosen = {key: value for key, value in job.plan.deepspeed.items() if key not in {"optimizer", "scheduler"}}
    ours = {"stage": _stage(job)} if job.plan.launch.on_gpu else {"stage": _stage(job), **_on_processors(job)}
    return {
        **chosen,
        "zero_optimization": {**chosen.get("zero_optimization", {}), **ours},
        "bf16": {"enabled": job.settings.precision == "bf16", "check_grad_overflow": False},  # the loss's guard does
        "data_types": {"grad_accum_dtype": "fp32"},  # else each micro-batch is rounded to bf16 on top of the last
        "train_batch_size": job.sequences_per_step,
        "train_micro_batch_size_per_gpu": job.plan.micro_batch,
        "gradient_accumulation_steps": job.plan.accumulation_steps,
        "gradient_clipping": job.settings.clip_norm,
        "steps_per_print": _SILENT,
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW needs no compiler and is as fast
        "checkpoint": {**chosen.get("checkpoint", {}), "load_universal": from_universal},
    }


def _stage(job: TrainingJob) -> int:
    """Return the stage of ZeRO that DeepSpeed runs.

    Without ZeRO its bf16 (0.19.8) trains otherwise than fp32 does, by 0.02 nats after three steps of a tiny model,
    where stages 1 to 3 keep within 0.0002. Stage 1 does the same work, and shares out the optimizer's state beside.
    """
    return max(job.plan.zero_stage, 1) if job.settings.precision == "bf16" else job.plan.zero_stage


def _on_processors(job: TrainingJob) -> dict[str, Any]:
    """Return settings that make the same training quicker without a GPU.

    Gradients are gathered in buckets that fit the processor's cache, and one process has nobody to scatter them to:
    measured at 0.81 of the processor time of DeepSpeed's own settings.
    """
    if _stage(job) not in {1, 2}:
        return {}
    settings: dict[str, Any] = {"reduce_bucket_size": _CACHED_ELEMENTS}
    return settings if job.plan.world_size > 1 else {**settings, "reduce_scatter": False}


def partitions_weights(job: TrainingJob, config: dict[str, Any]) -> HfDeepSpeedConfig | None:
    """For ZeRO-3, have transformers load each weight in parts; whoever calls keeps what is returned."""
    return HfDeepSpeedConfig(config) if job.plan.zero_stage == 3 else None


def start_engine(model: nn.Module, job: TrainingJob, config: dict[str, Any]) -> DeepSpeedEngine:
    """Return DeepSpeed's engine around the model."""
    optimizer = make_optimizer(model, job)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    return engine


def make_optimizer(model: nn.Module, job: TrainingJob) -> torch.optim.Optimizer:
    """Return AdamW over all weights that learn, in one kernel; matrices alone decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    decay = job.settings.weight_decay
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 0.0}]
    if decay:
        ranks = {id(weight): len(getattr(weight, "ds_shape", weight.shape)) for weight in weights}
        groups = [
            {"params": [weight for weight in weights if ranks[id(weight)] >= 2], "weight_decay": decay},
            {"params": [weight for weight in weights if ranks[id(weight)] < 2], "weight_decay": 0.0},
        ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=job.settings.learning_rate, fused=True)


def local_device(on_gpu: bool) -> torch.device:
    """Return the device of this process."""
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if on_gpu else torch.device("cpu")
