"""Resample rows, so that a figure on a holdout gets an interval.

One set of resamples serves every metric, every slice and both models. That makes the comparison of two models
paired: both meet the same rows in each resample, and what is easy or hard about those rows cancels in their difference.

Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
FEWEST_CLUSTERS = 5  # below it, resamples are so few different ones that an interval would be a fiction
SMALLEST_MEASURED_SHARE = 0.95  # of the resamples; below it an interval would describe only the lucky ones
_NUMBERS_AT_ONCE = 1_000_000  # 8 MB of weights: small enough to stay near the processor, whatever the holdout's size


def seed_from(sha256: str) -> int:
    """Return the seed that a holdout's hash stands for: the same rows are resampled alike on every machine."""
    return int(sha256[:16], 16)


def resampling_weights(num_rows: int, samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each row is drawn in each resample, shape (some, num_rows), `samples` rows of them in all.

    Each resample draws `num_rows` rows with replacement. The weights do not depend on how many come at once.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _NUMBERS_AT_ONCE // num_rows)
    for start in range(0, samples, at_once):
        counts = [
            np.bincount(generator.integers(0, num_rows, num_rows), minlength=num_rows)
            for _ in range(start, min(start + at_once, samples))
        ]
        yield np.array(counts, dtype=np.float64)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the bounds of the central 95 % of `values`; (NaN, NaN) when more than 5 % of them could not be measured.

    >>> low, high = percentile_interval(np.arange(1001.0))
    >>> round(low), round(high)
    (25, 975)
    """
    measured = values[np.isfinite(values)]
    if len(measured) == 0 or len(measured) < SMALLEST_MEASURED_SHARE * len(values):
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(measured, [tail, 1 - tail])
    return float(low), float(high)
