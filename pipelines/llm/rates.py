"""The learning rate of every step of a training, known from the step's number alone."""

from __future__ import annotations

import math
from typing import Literal

SMALLEST_SHARE = 0.1  # of the highest rate: where cosine and linear end, so that the last steps still learn


def rate_at(
    step: int, num_steps: int, warmup_steps: int, highest: float, schedule: Literal["cosine", "linear", "constant"]
) -> float:
    """Return the rate of one step; steps count from 1.

    It rises by equal amounts, from `highest / warmup_steps` in step 1 to `highest` in step `warmup_steps`, and falls
    from there to a tenth of it in the last step. No step has a rate of 0: it would cost its time and teach nothing.

    >>> [rate_at(step, 6, 2, 1.0, "linear") for step in range(1, 7)]
    [0.5, 1.0, 0.775, 0.55, 0.325, 0.1]
    """
    if step <= warmup_steps:
        return highest * step / warmup_steps
    if schedule == "constant" or num_steps <= warmup_steps:
        return highest
    done = (step - max(warmup_steps, 1)) / max(num_steps - max(warmup_steps, 1), 1)
    left = (1 + math.cos(math.pi * done)) / 2 if schedule == "cosine" else 1 - done
    return highest * (SMALLEST_SHARE + (1 - SMALLEST_SHARE) * left)
