"""A metric in every resample, and the figures with intervals that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.gates.bootstrap import percentile_interval
from pipelines.records import MetricValue, PairedDifference, number_or_none

_SIGNIFICANT_DIGITS = 10  # beyond them, builds of the linear algebra beneath differ, and a record's hash with them

Place = tuple[str, str]
"""A metric and a slice."""


@dataclass(frozen=True)
class Sample:
    """One metric of one model on one slice: its value, and its value in each resample, shape (samples,)."""

    value: float
    resampled: NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """What was measured, by the names it has in `Evaluation`; the parts of a model that is not there are empty."""

    metrics: tuple[MetricValue, ...]
    champion_metrics: tuple[MetricValue, ...] = ()
    differences: tuple[PairedDifference, ...] = ()
    base_metrics: tuple[MetricValue, ...] = ()
    base_differences: tuple[PairedDifference, ...] = ()


def values_of(samples: Mapping[Place, Sample], num_rows: Mapping[str, int]) -> tuple[MetricValue, ...]:
    """Return the value and the 95 % interval of each sample, given how many rows each slice has."""
    return tuple(
        MetricValue(metric=metric, slice=name, num_rows=num_rows[name], **_with_interval(s.value, s.resampled))
        for (metric, name), s in samples.items()
    )


def differences_of(
    ours: Mapping[Place, Sample], theirs: Mapping[Place, Sample], num_rows: Mapping[str, int]
) -> tuple[PairedDifference, ...]:
    """Return ours minus theirs for the places of both, in the same order; both were taken on the same resamples."""
    return tuple(
        PairedDifference(
            metric=metric,
            slice=name,
            num_rows=num_rows[name],
            **_with_interval(our.value - their.value, our.resampled - their.resampled),
        )
        for ((metric, name), our), their in zip(ours.items(), theirs.values(), strict=True)
    )


def _with_interval(value: float, resampled: NDArray[np.float64]) -> dict[str, float | None]:
    low, high = percentile_interval(resampled)
    return {"value": _figure(value), "low": _figure(low), "high": _figure(high)}


def _figure(number: float) -> float | None:
    return number_or_none(float(f"{number:.{_SIGNIFICANT_DIGITS}g}"))
