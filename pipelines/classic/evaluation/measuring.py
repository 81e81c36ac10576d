"""Measure a challenger, and the champion beside it, on the same rows and the same resamples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipelines.classic.evaluation.arrays import Array, Weights
from pipelines.classic.evaluation.metrics import Metric, is_measurable, metrics_of
from pipelines.gates.bootstrap import resampling_weights
from pipelines.gates.samples import Figures, Sample, differences_of, values_of
from pipelines.spec.training import Task


def measure_all(
    task: Task,
    truth: Array,
    challenger: Array,
    champion: Array | None,
    slices: Mapping[str, Array],
    samples: int,
    seed: int,
) -> Figures:
    """Return every metric of the task on every slice, each with its 95 % bootstrap interval.

    Args:
        task: The model's task; it names the metrics.
        truth: Class codes or values, shape (n,).
        challenger: Probabilities, shape (n, K), or values, shape (n,).
        champion: The same from the champion, or None where there is none.
        slices: Row numbers by the slice's name; `all` is a slice like any other.
        samples: How many resamples.
        seed: Of the resamples; challenger, champion and all slices share them.
    """
    metrics = metrics_of(task)
    ours = _samples(task, metrics, truth, challenger, slices, samples, seed)
    num_rows = {name: len(rows) for name, rows in slices.items()}
    if champion is None:
        return Figures(values_of(ours, num_rows))
    theirs = _samples(task, metrics, truth, champion, slices, samples, seed)
    return Figures(values_of(ours, num_rows), values_of(theirs, num_rows), differences_of(ours, theirs, num_rows))


def _samples(
    task: Task,
    metrics: tuple[Metric, ...],
    truth: Array,
    predicted: Array,
    slices: Mapping[str, Array],
    samples: int,
    seed: int,
) -> dict[tuple[str, str], Sample]:
    """Return a sample for each (metric, slice), slice by slice."""
    cut = {name: (truth[rows], predicted[rows]) for name, rows in slices.items()}
    usable = {name for name, arrays in cut.items() if is_measurable(task, *arrays)}
    blocks: dict[tuple[str, str], list[Array]] = {(m.name, name): [] for name in slices for m in metrics}
    for weights in (np.ones((1, len(truth))), *resampling_weights(len(truth), samples, seed)):
        for name, rows in slices.items():
            own = _of(weights, rows)
            for metric in metrics:
                values = metric.function(*cut[name], own) if name in usable else np.full(len(weights), np.nan)
                blocks[metric.name, name].append(values)
    joined = {place: np.concatenate(values) for place, values in blocks.items()}
    return {place: Sample(float(values[0]), values[1:]) for place, values in joined.items()}


def _of(weights: Weights, rows: Array) -> Weights:
    return weights if len(rows) == weights.shape[1] else weights.take(rows, axis=1)
