"""Tell how far apart two profiles of one column are, and how surely that is no chance, without a single row.

A value that is missing (null, NaN or infinite) is a value of its own: below all numbers, or one more category. So a
column that is suddenly half empty is far away, and what is left of it weighs as much as it has rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pipelines.data.profiles import ColumnProfile
from pipelines.data.quantiles import QuantileSummary
from pipelines.data.sketches import FrequentSketch

SMALLEST_SHARE = 0.01  # rarer categories are one rest: three times what a sketch may miscount, and no matter of chance
SMALLEST_EXPECTED = 5.0  # rows, for chi-square to be what it is called
_SMALLEST_PSI_SHARE = 1e-4  # keeps the logarithm finite when a bin is empty
_MANY = 100.0  # standard errors: no chance is left
_TINY = 1e-300  # the error of a category that holds no row or all of them is 0
_DECILES = np.arange(1, 10) / 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Apart:
    """`distance` from 0 to 1, PSI in nats where bins have one, and the p-value of "both are samples of the same"."""

    distance: float
    psi: float | None
    p_value: float


def missing_share(column: ColumnProfile) -> float:
    """Return the share of rows without a value: null, NaN or infinite. 0 without rows."""
    return (column.num_nulls + column.num_not_finite) / max(column.num_rows, 1)


def numbers_apart(reference: ColumnProfile, new: ColumnProfile, left: QuantileSummary, right: QuantileSummary) -> Apart:
    """Return the Kolmogorov-Smirnov distance of numbers.

    The p-value is Kolmogorov's for two large samples; ties make it larger than it need be, never smaller. What the
    summaries themselves may be wrong by is taken off the distance before.

    Args:
        reference: The column in the reference; at least one row.
        new: The column in the new rows; at least one row.
        left: The distribution of what is not missing in `reference`: of the numbers, or of their lengths.
        right: The same in `new`.

    Source: Hodges, The significance probability of the Smirnov two-sample test, Arkiv för Matematik 3 (1958).
    """
    points = np.union1d(left.values, right.values)
    shares = [_below_or_at(column, summary, points) for column, summary in ((reference, left), (new, right))]
    distance = float(np.abs(shares[0] - shares[1]).max())
    error = left.rank_error_rows / reference.num_rows + right.rank_error_rows / new.num_rows
    p_value = float(
        special.kolmogorov(np.sqrt(_effective_rows(reference.num_rows, new.num_rows)) * max(distance - error, 0.0))
    )
    edges = _deciles(left)
    bins = [_shares_between(column, one, edges) for column, one in ((reference, left), (new, right))]
    return Apart(distance, stability_index(*bins), p_value)


def categories_apart(reference: ColumnProfile, new: ColumnProfile) -> Apart:
    """Return the total variation of categories, those that hold less than `SMALLEST_SHARE` on both sides as one rest.

    What many categories differ by in few rows, by chance alone, is taken off: see `total_variation`. The p-value is
    that of Pearson's chi-square of both rows of counts. Where a sketch does not know a count exactly,
    only what lies surely between the two sides counts.

    Args:
        reference: The column in the reference; at least one row.
        new: The column in the new rows; at least one row.
    """
    left, right = _Shares.of(reference), _Shares.of(new)
    common = [
        name
        for name in sorted({*left.bounds, *right.bounds})
        if max(left.middle(name), right.middle(name)) >= SMALLEST_SHARE
    ]
    (low, high), (new_low, new_high) = left.table(common), right.table(common)
    middle, new_middle = (low + high) / 2, (new_low + new_high) / 2
    surely = np.maximum(np.maximum(low - new_high, new_low - high), 0.0)
    distance = total_variation(middle, new_middle, reference.num_rows, new.num_rows)
    p_value = _chi_square(surely, middle, new_middle, reference.num_rows, new.num_rows)
    return Apart(distance, stability_index(middle, new_middle), p_value)


def total_variation(reference: Floats, new: Floats, num_reference_rows: int, num_rows: int) -> float:
    """Return half the sum of the differences between shares, each less what it would be by chance, shape (k,) both.

    Of equal samples of few rows each category's share differs by about its standard error, and a hundred of these add
    up to a distance. So from a difference of z standard errors `2 / sqrt(pi) * exp(-z * z / 2)` of them are taken off:
    nothing from what is clearly different, and on average just as much as there is where nothing differs. Bergsma (A
    bias-correction for Cramér's V, Journal of the Korean Statistical Society 42, 2013) corrects a like distance alike.

    >>> round(total_variation(np.array([0.5, 0.5]), np.array([0.2, 0.8]), 1_000, 1_000), 6)
    0.3
    >>> total_variation(np.array([0.5, 0.5]), np.array([0.45, 0.55]), 100, 100)
    0.0
    """
    pooled = (num_reference_rows * reference + num_rows * new) / (num_reference_rows + num_rows)
    error = np.sqrt(np.clip(pooled * (1 - pooled), 0, None) / _effective_rows(num_reference_rows, num_rows))
    return less_chance(np.abs(reference - new), error)


def less_chance(apart: Floats, error: Floats) -> float:
    """Return half the sum of differences, shape (k,), less what errors of this size, shape (k,), give: see above."""
    errors_apart = np.minimum(apart / np.maximum(error, _TINY), _MANY)
    by_chance = 2 / np.sqrt(np.pi) * error * np.exp(-(errors_apart**2) / 2)
    return max(float((apart - by_chance).sum() / 2), 0.0)


def stability_index(reference: Floats, new: Floats) -> float:
    """Return the population stability index (PSI) of the shares of some bins, shape (k,), in nats.

    >>> round(stability_index(np.array([0.5, 0.5]), np.array([0.25, 0.75])), 3)
    0.275
    """
    left, right = np.maximum(reference, _SMALLEST_PSI_SHARE), np.maximum(new, _SMALLEST_PSI_SHARE)
    return float(((right - left) * np.log(right / left)).sum())


def benjamini_hochberg(p_values: Floats) -> Floats:
    """Return for each of `p_values`, shape (k,), the least false discovery rate at which it counts, shape (k,).

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]

    Source: Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995).
    """
    order = np.argsort(p_values, kind="stable")[::-1]
    scaled = p_values[order] * p_values.size / np.arange(p_values.size, 0, -1)
    q_values = np.empty_like(p_values)
    q_values[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return q_values


@dataclass(frozen=True)
class _Shares:
    """The least and the most share of all rows that each category, any other one, and what is missing hold."""

    bounds: dict[str, tuple[float, float]]
    other: float
    missing: float

    @classmethod
    def of(cls, column: ColumnProfile) -> _Shares:
        counted, most_other = FrequentSketch.merged([] if column.text is None else [column.text.frequent]).bounds()
        bounds = {text: (low / column.num_rows, high / column.num_rows) for text, (low, high) in counted.items()}
        return cls(bounds, most_other / column.num_rows, missing_share(column))

    def middle(self, name: str) -> float:
        return sum(self.bounds.get(name, (0.0, self.other))) / 2

    def table(self, names: list[str]) -> tuple[Floats, Floats]:
        """Return least and most of `names`, of all the rest and of what is missing, shape (k + 2,) each."""
        found = np.array([self.bounds.get(name, (0.0, self.other)) for name in names]).reshape(-1, 2)
        low, high = found[:, 0], found[:, 1]
        known = 1.0 - self.missing
        rest = np.clip([known - high.sum(), known - low.sum()], 0.0, known)
        return np.append(low, [rest[0], self.missing]), np.append(high, [rest[1], self.missing])


def _below_or_at(column: ColumnProfile, summary: QuantileSummary, points: Floats) -> Floats:
    """Return the share of rows that are missing, and that plus those not above each point, shape (k + 1,)."""
    missing = missing_share(column)
    return np.concatenate([[missing], missing + (1 - missing) * summary.share_below_or_at(points)])


def _shares_between(column: ColumnProfile, summary: QuantileSummary, edges: Floats) -> Floats:
    """Return the share of rows that are missing, up to the first edge, up to the next, and above the last."""
    return np.diff(np.concatenate([[0.0], _below_or_at(column, summary, edges), [1.0]]))


def _deciles(summary: QuantileSummary) -> Floats:
    ranks = np.maximum(np.ceil(_DECILES * summary.num_rows), 1)
    return np.unique(summary.values[np.searchsorted(np.cumsum(summary.weights), ranks)])


def _effective_rows(num_left: int, num_right: int) -> float:
    return num_left * num_right / (num_left + num_right)


def _chi_square(surely: Floats, left: Floats, right: Floats, num_left: int, num_right: int) -> float:
    """Return the p-value; categories too rare on either side for chi-square are left to one bin."""
    pooled = (num_left * left + num_right * right) / (num_left + num_right)
    rare = pooled * min(num_left, num_right) < SMALLEST_EXPECTED
    if rare.any():
        together = np.abs((left - right)[rare].sum())  # what moves among the rare ones alone is not looked at
        surely = np.append(surely[~rare], min(together, surely[rare].sum()))
        pooled = np.append(pooled[~rare], pooled[rare].sum())
    used = pooled > 0
    if used.sum() < 2:
        return 1.0
    statistic = _effective_rows(num_left, num_right) * (surely[used] ** 2 / pooled[used]).sum()
    return float(special.chdtrc(used.sum() - 1, statistic))
