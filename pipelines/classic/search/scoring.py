"""How good predictions are for the search: any metric as a loss, so that lower is better and a ratio means
something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.classic.evaluation.metrics import METRICS, measure
from pipelines.spec.training import LOWER_IS_BETTER, Task

Array = NDArray[Any]


def loss_of(task: Task, metric: str, truth: Array, predicted: Array) -> float:
    """Return the metric as a loss: itself where lower is better, else 1 minus it; infinity where it is unmeasurable.

    Args:
        task: binary, multiclass or regression.
        metric: One of the task's metrics.
        truth: Class codes or values, shape (n,).
        predicted: Probabilities (n, classes) or values (n,).
    """
    value = float(measure(task, METRICS[metric], truth, predicted)[0])
    loss = value if metric in LOWER_IS_BETTER else 1.0 - value
    return loss if np.isfinite(loss) else float("inf")


def mean_loss(task: Task, metric: str, truth: Array, predicted: Array, fold_of: Array) -> float:
    """Return the mean loss over folds, weighted by rows; -1 in `fold_of` (n,) is no fold.

    Taken fold by fold, because models of different folds need not rank or scale alike. Folds where the metric means
    nothing, such as one class only, do not count; infinity when that holds for all.
    """
    rows = np.flatnonzero(fold_of >= 0)
    rows = rows[np.argsort(fold_of[rows], kind="stable")]
    return mean_of_folds(task, metric, truth[rows], predicted[rows], fold_slices(fold_of[rows]))


def mean_of_folds(task: Task, metric: str, truth: Array, predicted: Array, folds: Sequence[slice]) -> float:
    """Return `mean_loss` of rows that stand fold by fold."""
    losses = np.array([loss_of(task, metric, truth[rows], predicted[rows]) for rows in folds])
    weights = np.array([rows.stop - rows.start for rows in folds], dtype=float)
    known = np.isfinite(losses)
    return float(np.average(losses[known], weights=weights[known])) if known.any() else float("inf")


def fold_slices(sorted_folds: Array) -> list[slice]:
    """Return where each fold stands among rows that are sorted by fold."""
    ends = np.flatnonzero(np.diff(sorted_folds)) + 1
    return [slice(int(start), int(stop)) for start, stop in zip([0, *ends], [*ends, len(sorted_folds)], strict=True)]


def metric_value(metric: str, loss: float) -> float:
    """Return the metric's own value for a loss."""
    return loss if metric in LOWER_IS_BETTER else 1.0 - loss
