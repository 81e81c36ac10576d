"""Measure a champion on the rows whose labels have come, beside what it was on the holdout that promoted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.metrics import is_measurable, measure, metrics_of
from pipelines.gates.bootstrap import percentile_interval, resampling_weights
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.dropping import has_dropped, reference_of
from pipelines.records import MetricValue, PerformanceValue, number_or_none
from pipelines.spec.training import Task
from pipelines.spec.watching import Performance

MOST_RESAMPLED_ROWS = 20_000  # of more rows a sample is resampled, and its interval narrowed to their number
_DIGITS = 10  # beyond them, builds of the linear algebra beneath differ, and a report's hash with them


def measure_window(
    task: Task,
    answered: Answered,
    references: Sequence[MetricValue],
    settings: Performance,
    samples: int,
    seed: int = 0,
) -> tuple[PerformanceValue, ...]:
    """Return every metric of the task with its 95 % bootstrap interval, in the order of the task's metrics.

    Args:
        task: The model's task.
        answered: Labelled rows.
        references: The champion's figures on its holdout.
        settings: When a figure counts as dropped.
        samples: How many resamples, as many as the gate takes.
        seed: Of the resamples.
    """
    assert answered.truth is not None
    truth, predicted = answered.truth, answered.predicted
    resampled, narrowing = _resampled(task, truth, predicted, samples, seed)
    values = {one.name: measure(task, one, truth, predicted)[0] if len(truth) else np.nan for one in metrics_of(task)}
    return tuple(
        performance_value(
            metric, "measured", value, interval(value, resampled[metric], narrowing), len(truth), references, settings
        )
        for metric, value in values.items()
    )


def measure_means(
    scores: Mapping[str, Array],
    references: Sequence[MetricValue],
    settings: Performance,
    samples: int,
    seed: int = 0,
) -> tuple[PerformanceValue, ...]:
    """Return the mean of each score with its 95 % bootstrap interval: how good a language model's answers were.

    Args:
        scores: A number a row by metric, shape (n,), such as `exact_match`; NaN where a row was not scored.
        references: The champion's figures on its holdout.
        settings: When a figure counts as dropped.
        samples: How many resamples.
        seed: Of the resamples.
    """
    found = []
    for metric, numbers in scores.items():
        values = numbers[np.isfinite(numbers)]
        value, bounds = float("nan"), (float("nan"), float("nan"))
        if len(values):
            value = float(values.mean())
            kept, narrowing = _few(len(values), seed)
            means = [w @ values[kept] / w.sum(axis=1) for w in resampling_weights(len(kept), samples, seed)]
            bounds = interval(value, np.concatenate(means), narrowing)
        found.append(performance_value(metric, "measured", value, bounds, len(values), references, settings))
    return tuple(found)


def performance_value(
    metric: str,
    source: str,
    value: float,
    bounds: tuple[float, float],
    num_rows: int,
    references: Sequence[MetricValue],
    settings: Performance,
) -> PerformanceValue:
    """Return a figure with its verdict."""
    reference = reference_of(metric, references)
    figure = PerformanceValue(
        metric=metric,
        source="estimated" if source == "estimated" else "measured",
        value=_figure(value),
        low=_figure(bounds[0]),
        high=_figure(bounds[1]),
        reference=None if reference is None else reference.value,
        num_rows=num_rows,
        dropped=False,
    )
    return figure.model_copy(update={"dropped": has_dropped(figure, reference, settings)})


def interval(value: float, resampled: Array, narrowing: float = 1.0) -> tuple[float, float]:
    """Return the central 95 % of `resampled`, drawn in around its middle by `narrowing` and laid about `value`."""
    if narrowing == 1.0:
        return percentile_interval(resampled)
    measured = resampled[np.isfinite(resampled)]
    middle = float(np.mean(measured)) if len(measured) else float("nan")
    low, high = percentile_interval(resampled)
    return value + (low - middle) * narrowing, value + (high - middle) * narrowing


def _resampled(task: Task, truth: Array, predicted: Array, samples: int, seed: int) -> tuple[dict[str, Array], float]:
    kept, narrowing = _few(len(truth), seed)
    truth, predicted = truth[kept], predicted[kept]
    blocks: dict[str, list[Array]] = {metric.name: [np.full(1, np.nan)] for metric in metrics_of(task)}
    if is_measurable(task, truth, predicted):
        blocks = {name: [] for name in blocks}
        for weights in resampling_weights(len(truth), samples, seed):
            for metric in metrics_of(task):
                blocks[metric.name].append(metric.function(truth, predicted, weights))
    return {name: np.concatenate(values) for name, values in blocks.items()}, narrowing


def _few(num_rows: int, seed: int) -> tuple[Array, float]:
    """Return the rows to resample, and how much narrower the interval of all rows is than theirs."""
    if num_rows <= MOST_RESAMPLED_ROWS:
        return np.arange(num_rows), 1.0
    chosen = np.random.default_rng(seed).choice(num_rows, MOST_RESAMPLED_ROWS, replace=False)
    return np.sort(chosen), (MOST_RESAMPLED_ROWS / num_rows) ** 0.5


def _figure(number: float) -> float | None:
    return number_or_none(float(f"{number:.{_DIGITS}g}"))
