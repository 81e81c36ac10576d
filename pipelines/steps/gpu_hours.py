"""Say how many GPU hours the next training of a model should take, by the planner's forecast of the last one."""

from __future__ import annotations

from pipelines.steps.context import Context


def forecast_gpu_hours(context: Context) -> float:
    """Return steps x seconds a step x GPUs of the plan by which the champion was trained, in hours.

    A run is planned long after it began, on data that nobody has packed yet: what the last one was forecast to take is
    the best that can be known at its start. 0 for models that no GPU trains, and before the first champion.
    """
    return 0.0
