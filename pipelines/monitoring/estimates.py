"""Tell how good a classifier is on rows without labels, from how sure it is.

A probability that means what it says is a label in parts: a row answered with 0.3 is three tenths of a positive and
seven tenths of a negative. Every metric takes weights, so each row enters it once for each class, weighted by that
class's probability, and the expected value of any metric comes from the same function that measures it.

Whether probabilities mean what they say is learnt from rows whose truth is known: the holdout, and windows that have
labels. The estimate believes the holdout, by which the champion was promoted, and the newest labelled window, which is
what the world has come to; both count alike, however many rows they have. The served probabilities are ranked and
scored; the recalibrated ones are the labels.

The interval is drawn: which rows came, which labels they get, which rows the calibration was learnt from. And each draw
believes one source alone, since the window in question may be to all of them what each was to the others. So the more
windows have labels, the more of what changes over time is in the interval. What nobody has seen yet is not: that the
same answers come to mean something else than ever before. That is what labels are for.

Source: the NannyML team, confidence-based performance estimation (CBPE), nannyml.readthedocs.io, for the idea.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.classic.estimators.calibration import Calibrator, calibrated, fit_calibrator
from pipelines.classic.evaluation.arrays import Array
from pipelines.classic.evaluation.metrics import Metric, metrics_of
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.known import FEWEST_KNOWN_ROWS, Known, ends_of
from pipelines.monitoring.measured import interval, performance_value
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.training import Task
from pipelines.spec.watching import Performance

CALIBRATIONS = 60  # drawn anew
AT_ONCE = 10  # of them: a metric sorts the rows once for all
DRAWS = 5  # of rows and labels, for each of them
PROBABILITY_TOLERANCE = 1e-3  # by which the metrics let a row's sum miss 1
MOST_DRAWN_NUMBERS = 20_000  # rows times classes; of more rows a sample is drawn, and its spread narrowed


def estimate_window(
    task: Task,
    answered: Answered,
    known: Sequence[Known],
    references: Sequence[MetricValue],
    settings: Performance,
    seed: int = 0,
) -> tuple[PerformanceValue, ...]:
    """Return every metric of a classification as it is to be expected on rows without labels, with a 95 % interval.

    Args:
        task: binary or multiclass.
        answered: The rows; their truth is not looked at.
        known: The champion's answers on rows with a truth: on its holdout first, then in the windows that have labels,
            the newest last. Those with fewer than `FEWEST_KNOWN_ROWS` rows or a single class are left out; without any,
            the served probabilities are believed as they are. Of answers that are no probabilities nothing is told.
        references: The champion's figures on its holdout.
        settings: When a figure counts as dropped.
        seed: Of all that is drawn.
    """
    served = answered.predicted
    if len(served) < 2 or not _are_probabilities(served):
        nothing = np.nan, (np.nan, np.nan)
        return tuple(
            performance_value(one.name, "estimated", *nothing, len(served), references, settings)
            for one in metrics_of(task)
        )
    aligned = [source.aligned(answered.classes, served.shape[1]) for source in known]
    sources = [source for source in aligned if _can_teach(source)]
    values = _expected(metrics_of(task), served, calibrated(served, _best(sources)))
    spreads = _spreads(metrics_of(task), served, sources, np.random.default_rng(seed))
    return tuple(
        performance_value(
            metric, "estimated", value, interval(value, value + spreads[metric]), len(served), references, settings
        )
        for metric, value in values.items()
    )


def _are_probabilities(served: Array) -> bool:
    return bool(served.min() >= 0 and np.abs(served.sum(axis=1) - 1).max() <= PROBABILITY_TOLERANCE)


def _expected(metrics: Sequence[Metric], served: Array, meaning: Array) -> dict[str, float]:
    return {metric: float(found[0]) for metric, found in _weighted(metrics, served, _by_class(meaning)).items()}


def _weighted(metrics: Sequence[Metric], served: Array, weights: Array) -> dict[str, Array]:
    """Return each metric over rows that are there once a class; weights (draws, K times n), class by class."""
    num_rows, num_classes = served.shape
    truth, predicted = np.repeat(np.arange(num_classes), num_rows), np.tile(served, (num_classes, 1))
    return {metric.name: metric.function(truth, predicted, weights) for metric in metrics}


def _spreads(
    metrics: Sequence[Metric], served: Array, sources: Sequence[Known], generator: np.random.Generator
) -> dict[str, Array]:
    """Return how far each metric is from its expectation in each draw.

    Poisson numbers of the labels' probabilities draw rows and labels at once: a row comes Poisson(1) times, and each
    time with one of its labels.
    """
    few, narrowing = _few(served, generator)
    middle = _expected(metrics, few, calibrated(few, _best(sources)))
    found: dict[str, list[Array]] = {metric.name: [] for metric in metrics}
    for start in range(0, CALIBRATIONS, AT_ONCE):
        chosen = [sources[number % len(sources)] for number in range(start, start + AT_ONCE)] if sources else []
        calibrators = [_redrawn(source, generator) for source in chosen] or [None] * AT_ONCE
        expected = np.concatenate([_by_class(calibrated(few, calibrator)) for calibrator in calibrators])
        drawn = generator.poisson(np.repeat(expected, DRAWS, axis=0))
        for name, values in _weighted(metrics, few, np.concatenate([expected, drawn])).items():
            means, each = values[:AT_ONCE], values[AT_ONCE:].reshape(AT_ONCE, DRAWS)
            found[name].append((means[:, None] - middle[name] + (each - means[:, None]) * narrowing).ravel())
    return {name: np.concatenate(values) for name, values in found.items()}


def _by_class(meaning: Array) -> Array:
    return np.ascontiguousarray(meaning.T).reshape(1, -1)


def _few(served: Array, generator: np.random.Generator) -> tuple[Array, float]:
    most = max(MOST_DRAWN_NUMBERS // served.shape[1], 2)
    if len(served) <= most:
        return served, 1.0
    return served[np.sort(generator.choice(len(served), most, replace=False))], (most / len(served)) ** 0.5


def _best(sources: Sequence[Known]) -> Calibrator | None:
    """Return the calibrator of the first and the last source, by equal numbers of rows."""
    if not sources:
        return None
    truth, predicted, _ = ends_of(sources)
    return fit_calibrator(truth, predicted)


def _redrawn(source: Known, generator: np.random.Generator) -> Calibrator | None:
    rows = generator.integers(0, len(source.truth), len(source.truth))
    truth = source.truth[rows]
    return None if truth.min() == truth.max() else fit_calibrator(truth, source.predicted[rows])


def _can_teach(known: Known) -> bool:
    return len(known.truth) >= FEWEST_KNOWN_ROWS and bool(known.truth.min() != known.truth.max())
