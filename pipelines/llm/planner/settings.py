"""Write DeepSpeed's settings, in its own words (deepspeed 0.19.8, runtime/config.py and runtime/zero/config.py)."""

from __future__ import annotations

from typing import Any

from pipelines.llm.planner.shape import SMALL_PARAMETER, ModelShape

LARGEST_BUCKET = (
    200_000_000  # elements of a buffer that gradients are reduced in: 400 MB in bf16, large enough for NVLink
)
SMALLEST_BUCKET = 1_000_000


def bucket_elements(shape: ModelShape) -> int:
    """Return the elements of DeepSpeed's buffer of gradients: no more than there are, and no more than is of use."""
    return max(SMALLEST_BUCKET, min(LARGEST_BUCKET, shape.trainable))


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
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation_steps,
        "train_batch_size": micro_batch * accumulation_steps * world_size,
        "gradient_clipping": clip_norm,
        "bf16": {"enabled": precision == "bf16"},
        "zero_optimization": {"stage": zero_stage},
        "zero_allow_untested_optimizer": True,  # the optimizer is the trainer's own choice
        "wall_clock_breakdown": False,
        "steps_per_print": 1_000_000_000,  # the trainer tells of its steps itself
    }
    if zero_stage:
        settings["zero_optimization"] |= _zero(shape, zero_stage, overlap=on_gpu and world_size > 1)
    if offload:
        settings["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": on_gpu}
        settings["zero_force_ds_cpu_optimizer"] = on_gpu  # without a GPU any optimizer runs on the processor
    return settings


def _zero(shape: ModelShape, stage: int, *, overlap: bool) -> dict[str, Any]:
    bucket = bucket_elements(shape)
    shared = {"overlap_comm": overlap, "contiguous_gradients": True, "reduce_bucket_size": bucket}
    if stage < 3:
        return {**shared, "reduce_scatter": True, "allgather_bucket_size": bucket + bucket % 2}
    return {
        **shared,
        "stage3_prefetch_bucket_size": prefetch_elements(shape),
        "stage3_param_persistence_threshold": SMALL_PARAMETER,
        "stage3_max_live_parameters": max(shape.largest_parameter, 2 * shape.largest_layer) + prefetch_elements(shape),
        "stage3_max_reuse_distance": shape.largest_layer,
        "stage3_gather_16bit_weights_on_model_save": True,
    }
