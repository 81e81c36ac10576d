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
    """Return the planner's settings, with what is known only now.

    `from_universal` says that the checkpoint to go on from was written by another number of processes.
    """
    return {**job.plan.deepspeed, "checkpoint": {"load_universal": from_universal}}


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
