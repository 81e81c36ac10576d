"""Fit DeepSpeed's settings to a number of processes: a training may go on with another one than it was planned for.

Apart from the other settings, for whoever starts processes needs no model library.
"""

from __future__ import annotations

from typing import Any


def for_processes(
    settings: dict[str, Any], micro_batch: int, accumulation_steps: int, world_size: int, on_gpu: bool
) -> dict[str, Any]:
    """Return settings for so many processes, with batches of their own; all else stays as it is."""
    zero = dict(settings["zero_optimization"])
    if zero["stage"]:
        zero["overlap_comm"] = on_gpu and world_size > 1
    if zero["stage"] in {1, 2}:
        zero["reduce_scatter"] = on_gpu or world_size > 1
    return {
        **settings,
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation_steps,
        "train_batch_size": micro_batch * accumulation_steps * world_size,
        "zero_optimization": zero,
    }
