"""Write DeepSpeed's settings, in its own words (deepspeed 0.19.8, runtime/config.py and runtime/zero/config.py).

They are all that a training gives DeepSpeed, but for what its processes alone can know: whether the checkpoint that
they go on from was written by others.
"""

from __future__ import annotations

from typing import Any

from pipelines.llm.planner.processes import for_processes
from pipelines.llm.planner.shape import SMALL_PARAMETER, ModelShape

LARGEST_BUCKET = (
    200_000_000  # elements of a buffer that gradients are reduced in: 400 MB in bf16, large enough for NVLink
)
SMALLEST_BUCKET = 1_000_000
CACHED_BUCKET = 500_000
"""Elements that stay in a processor's cache while they are reduced: with `reduce_scatter` off where a process is alone,
which has nobody to scatter to, measured at 0.81 of the processor time of DeepSpeed's own settings."""


def stage_that_runs(zero_stage: int, precision: str) -> int:
    """Return the stage of ZeRO that trains what is asked for.

    Without ZeRO, DeepSpeed's bf16 (0.19.8) trains otherwise than fp32 does, by 0.02 nats after three steps of a tiny
    model, where stages 1 to 3 keep within 0.0002. Stage 1 does the same work, and shares out the optimizer's state
    beside.
    """
    return max(zero_stage, 1) if precision == "bf16" else zero_stage


def bucket_elements(shape: ModelShape, zero_stage: int, on_gpu: bool) -> int:
    """Return the elements of DeepSpeed's buffer of gradients: no more than there are, and no more than is of use."""
    if zero_stage < 3 and not on_gpu:
        return CACHED_BUCKET
    return _elements_of_use(shape)


def prefetch_elements(shape: ModelShape) -> int:
    """Return how many parameters ZeRO-3 fetches ahead of use: one layer."""
    return min(shape.largest_layer, 50_000_000)


def deepspeed_settings(
    shape: ModelShape,
    *,
    zero_stage: int,
    offload: bool,
    micro_batch: int,
    accumulation_steps: int,
    world_size: int,
    clip_norm: float,
    precision: str,
    on_gpu: bool,
) -> dict[str, Any]:
    """Return the `config` of `deepspeed.initialize`; the optimizer and its schedule are handed in beside it."""
    settings: dict[str, Any] = {
        "gradient_clipping": clip_norm,
        "bf16": {"enabled": precision == "bf16", "check_grad_overflow": False},  # the trainer looks at loss and norm
        "data_types": {"grad_accum_dtype": "fp32"},  # else each micro batch is rounded to bf16 on top of the last
        "zero_optimization": {"stage": zero_stage},
        "zero_allow_untested_optimizer": True,  # the optimizer is the trainer's own choice
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW needs no compiler and is as fast
        "wall_clock_breakdown": False,
        "steps_per_print": 1_000_000_000,  # the trainer tells of its steps itself
    }
    if zero_stage:
        settings["zero_optimization"] |= _zero(shape, zero_stage, on_gpu)
    if offload:
        settings["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": on_gpu}
    return for_processes(settings, micro_batch, accumulation_steps, world_size, on_gpu)


def _zero(shape: ModelShape, stage: int, on_gpu: bool) -> dict[str, Any]:
    bucket = bucket_elements(shape, stage, on_gpu)
    shared = {"contiguous_gradients": True, "reduce_bucket_size": bucket}
    if stage < 3:
        gathered = _elements_of_use(shape)
        return {**shared, "allgather_bucket_size": gathered + gathered % 2}
    return {
        **shared,
        "stage3_prefetch_bucket_size": prefetch_elements(shape),
        "stage3_param_persistence_threshold": SMALL_PARAMETER,
        "stage3_max_live_parameters": max(shape.largest_parameter, 2 * shape.largest_layer) + prefetch_elements(shape),
        "stage3_max_reuse_distance": shape.largest_layer,
        "stage3_gather_16bit_weights_on_model_save": True,
    }


def _elements_of_use(shape: ModelShape) -> int:
    return max(SMALLEST_BUCKET, min(LARGEST_BUCKET, shape.trainable))
