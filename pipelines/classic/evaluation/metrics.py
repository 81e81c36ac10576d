"""The metrics of the classic half, as one table.

To add one: write the function, add a row here and its name to `METRICS_BY_TASK` in `pipelines.spec.training` (and to
`LOWER_IS_BETTER` there, if so), and a row in the table of tests/classic/test_evaluation_metrics.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.classic.evaluation import errors, labels, ranking
from pipelines.classic.evaluation.arrays import Array, Weights
from pipelines.errors import DataError
from pipelines.spec.training import LOWER_IS_BETTER, METRICS_BY_TASK, Task

MetricFunction = Callable[[Array, Array, Weights], Array]
_PROBABILITY_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Metric:
    """One metric: its function gives a value for each row of weights (see `pipelines.classic.evaluation.arrays`)."""

    name: str
    function: MetricFunction
    unit: str = ""

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.name in LOWER_IS_BETTER

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have this metric."""
        return tuple(task for task, names in METRICS_BY_TASK.items() if self.name in names)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", ranking.roc_auc),
        Metric("roc_auc_ovr", ranking.roc_auc_ovr),
        Metric("average_precision", ranking.average_precision),
        Metric("log_loss", errors.log_loss, "nats"),
        Metric("brier", errors.brier),
        Metric("accuracy", labels.accuracy),
        Metric("balanced_accuracy", labels.balanced_accuracy),
        Metric("precision", labels.precision),
        Metric("recall", labels.recall),
        Metric("f1", labels.f1),
        Metric("f1_macro", labels.f1_macro),
        Metric("rmse", errors.rmse, "unit of the target"),
        Metric("mae", errors.mae, "unit of the target"),
        Metric("median_absolute_error", errors.median_absolute_error, "unit of the target"),
        Metric("r2", errors.r2),
    )
}


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics of a task, in the order of `METRICS_BY_TASK`."""
    return tuple(METRICS[name] for name in METRICS_BY_TASK[task])


def union_of_classes(task: Task, *labels: Iterable[Any]) -> list[Any]:
    """Return all classes that any model or any row has, sorted; none for regression.

    A class that a model has never seen gets probability 0 from it (`align_classes`), so that models with other classes
    are still judged on the same rows.

    Raises:
        DataError: If a binary task has more than two, or labels cannot be ordered (numbers beside text).
    """
    if task == "regression":
        return []
    found = {label for group in labels for label in group}
    try:
        classes = sorted(found)
    except TypeError as error:
        raise DataError(
            f"Classes {sorted(map(repr, found))[:10]} are of different types; nothing was evaluated."
        ) from error
    if task == "binary" and len(classes) > 2:
        raise DataError(
            f"A binary task has {len(classes)} classes over models and holdout: {classes[:10]}; allowed: 2. "
            "Nothing was evaluated: was the target's coding changed since the champion was trained?"
        )
    return classes


def align_classes(predicted: Array, own: Sequence[Any], classes: Sequence[Any]) -> Array:
    """Return probabilities with one column for each of `classes`; 0 for a class that the model has not."""
    aligned = np.zeros((len(predicted), len(classes)))
    aligned[:, [classes.index(label) for label in own]] = predicted
    return aligned


def encode_truth(task: Task, target: Iterable[Any], classes: Sequence[Any]) -> Array:
    """Return the target as metrics want it, shape (n,): codes in the order of `classes`, or values as floats."""
    if task == "regression":
        return np.array([*target], dtype=float)
    code_of = {label: code for code, label in enumerate(classes)}
    return np.array([code_of[label] for label in target], dtype=np.int64)


def is_measurable(task: Task, truth: Array, predicted: Array) -> bool:
    """Tell whether any metric means something: two rows, two classes, finite predictions, probabilities that add up."""
    if len(truth) < 2 or not np.isfinite(predicted).all():
        return False
    if task == "regression":
        return bool(np.isfinite(truth).all())
    sums_to_one = np.abs(predicted.sum(axis=1) - 1.0).max() <= _PROBABILITY_TOLERANCE
    return bool(predicted.min() >= 0.0 and sums_to_one and truth.min() != truth.max())


def measure(task: Task, metric: Metric, truth: Array, predicted: Array, weights: Weights | None = None) -> Array:
    """Return the metric for each row of weights, shape (resamples,); NaN where it cannot be measured.

    Without weights: for the rows as they are, shape (1,).
    """
    weights = np.ones((1, len(truth))) if weights is None else weights
    if not is_measurable(task, truth, predicted):
        return np.full(len(weights), np.nan)
    return metric.function(truth, predicted, weights)
