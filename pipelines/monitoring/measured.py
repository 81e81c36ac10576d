"""Measure a champion on the rows whose labels have come, beside what it was on the holdout that promoted it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.metrics import is_measurable, measure, metrics_of
from pipelines.gates.bootstrap import FEWEST_CLUSTERS, percentile_interval, resampling_weights
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.dropping import has_dropped, reference_of
from pipelines.records import MetricValue, PerformanceValue, number_or_none
from pipelines.spec.training import Task
from pipelines.spec.watching import Performance

MOST_RESAMPLED_ROWS = 20_000  # of more rows a sample is resampled, and its interval narrowed to their number
_DIGITS = 10  # beyond them, builds of the linear algebra beneath differ, and a report's hash with them


@dataclass(frozen=True)
class Sums:
    """What one metric of answers is the quotient of, as in an evaluation: nats by tokens, or hits by ones.

    `over` and `under` are shape (n,), a number a row; rows whose `under` is 0 do not count. `clusters`, shape (n,), say
    what each row is of: rows of one, such as the same question asked again, are not independent and are resampled
    together. `is_exponential`: the metric is e to the power of the quotient, as perplexity is.
    """

    over: Array
    under: Array
    clusters: Array
    is_exponential: bool = False

    def quotient(self, over: Array, under: Array) -> Array:
        """Return the metric of sums, whatever their shape."""
        with np.errstate(over="ignore"):  # of a model that is lost there is no finite one: it is not measured
            return np.exp(over / under) if self.is_exponential else over / under


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
    scores: Mapping[str, Sums],
    references: Sequence[MetricValue],
    settings: Performance,
    samples: int,
    seed: int = 0,
) -> tuple[PerformanceValue, ...]:
    """Return each metric of a language model's answers with its 95 % bootstrap interval.

    Fewer than 5 clusters give no interval, and so never a drop.

    Args:
        scores: What each metric, such as `exact_match`, is the quotient of.
        references: The champion's figures on its holdout.
        settings: When a figure counts as dropped.
        samples: How many resamples.
        seed: Of the resamples.
    """
    found = []
    for metric, sums in scores.items():
        counted = sums.under > 0
        over, under = sums.over[counted], sums.under[counted]
        value, bounds = float("nan"), (float("nan"), float("nan"))
        if len(under):
            value = float(sums.quotient(over.sum(), under.sum()))
            bounds = _bounds(sums, over, under, sums.clusters[counted], value, samples, seed)
        found.append(performance_value(metric, "measured", value, bounds, len(under), references, settings))
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


def _bounds(
    sums: Sums, over: Array, under: Array, clusters: Array, value: float, samples: int, seed: int
) -> tuple[float, float]:
    codes = np.unique(clusters, return_inverse=True)[1]
    over, under = np.bincount(codes, over), np.bincount(codes, under)
    if len(under) < FEWEST_CLUSTERS:
        return float("nan"), float("nan")
    kept, narrowing = _few(len(under), seed)
    over, under = over[kept], under[kept]
    blocks = [sums.quotient(w @ over, w @ under) for w in resampling_weights(len(kept), samples, seed)]
    return interval(value, np.concatenate(blocks), narrowing)


def _few(num_rows: int, seed: int) -> tuple[Array, float]:
    """Return the rows to resample, and how much narrower the interval of all rows is than theirs."""
    if num_rows <= MOST_RESAMPLED_ROWS:
        return np.arange(num_rows), 1.0
    chosen = np.random.default_rng(seed).choice(num_rows, MOST_RESAMPLED_ROWS, replace=False)
    return np.sort(chosen), (MOST_RESAMPLED_ROWS / num_rows) ** 0.5


def _figure(number: float) -> float | None:
    return number_or_none(float(f"{number:.{_DIGITS}g}"))
