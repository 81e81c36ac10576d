"""The rules that the benchmark of false alarms compares, on counts of values instead of rows: a year in a second.

Each takes a column's counts in cells: the first is what is missing, the others the values of `Column.grid` or the
categories. `reference` is of shape (days, k), `windows` of shape (w, k). Evidently 0.7 and NannyML 0.13 are written
anew here, from their documentation and source, with their defaults; the benchmark compares both with the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pipelines.monitoring.distances import SMALLEST_EXPECTED, SMALLEST_SHARE

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """A column: its name, its cells' place among all cells, and the value of each number; None for categories."""

    name: str
    cells: slice
    grid: Floats | None


def ours(column: Column, reference: Counts, windows: Counts) -> tuple[Floats, Floats]:
    """Return distance and p-value of each window, both of shape (w,)."""
    whole = reference.sum(axis=0)
    num_reference, num_rows = whole.sum(), int(windows[0].sum())
    shares, new = whole / num_reference, windows / num_rows
    effective = num_reference * num_rows / (num_reference + num_rows)
    if column.grid is not None:
        distance = np.abs(new.cumsum(axis=1) - shares.cumsum()).max(axis=1)
        return distance, special.kolmogorov(np.sqrt(effective) * distance)
    kept = np.maximum(new, shares) >= SMALLEST_SHARE
    kept[:, 0] = True
    left, right = (np.where(kept, one, 0.0) for one in (np.broadcast_to(shares, new.shape), new))
    left, right = (np.column_stack([one, 1 - one.sum(axis=1)]) for one in (left, right))
    pooled = (num_reference * left + num_rows * right) / (num_reference + num_rows)
    rare = pooled * min(num_reference, num_rows) < SMALLEST_EXPECTED
    common = [np.where(rare, 0.0, one) for one in (left - right, pooled)]
    together = [np.where(rare, one, 0.0).sum(axis=1) for one in (left - right, pooled)]
    apart, expected = (np.column_stack(pair) for pair in zip(common, together, strict=True))
    used = expected > 1e-12
    statistic = effective * np.divide(apart**2, expected, out=np.zeros_like(apart), where=used).sum(axis=1)
    degrees = np.maximum(used.sum(axis=1) - 1, 1)
    error = np.sqrt(np.clip(pooled * (1 - pooled), 0, None) / effective)
    gap = np.abs(left - right)
    by_chance = 2 / np.sqrt(np.pi) * error * np.exp(-((gap / np.maximum(error, 1e-300)) ** 2) / 2)
    return np.maximum((gap - by_chance).sum(axis=1) / 2, 0.0), special.chdtrc(degrees, statistic)


def q_values(p_values: Floats) -> Floats:
    """Return Benjamini and Hochberg's rates of many windows at once, shape (w, columns)."""
    num_columns = p_values.shape[1]
    order = np.argsort(p_values, axis=1)[:, ::-1]
    scaled = np.take_along_axis(p_values, order, axis=1) * num_columns / np.arange(num_columns, 0, -1)
    found = np.empty_like(p_values)
    np.put_along_axis(found, order, np.minimum(np.minimum.accumulate(scaled, axis=1), 1.0), axis=1)
    return found


def evidently(column: Column, reference: Counts, windows: Counts) -> Floats:
    """Return Evidently's score of each window by the default for more than 1,000 reference rows; drift from .1 on.

    Numbers: Wasserstein distance over the reference's standard deviation; categories, and whole numbers with few values
    as it infers them: Jensen-Shannon distance. What is missing is left out.
    """
    known, new = reference.sum(axis=0)[1:], windows[:, 1:]
    if column.grid is None or column.name == "weekday":
        return jensen_shannon(known / known.sum(), new / new.sum(axis=1, keepdims=True), np.e)
    shares = known / known.sum()
    mean = (shares * column.grid).sum()
    deviation = np.sqrt((shares * (column.grid - mean) ** 2).sum())
    apart = np.abs((new / new.sum(axis=1, keepdims=True)).cumsum(axis=1) - shares.cumsum())
    return (apart[:, :-1] * np.diff(column.grid)).sum(axis=1) / max(deviation, 0.001)


def nannyml(column: Column, reference: Counts, windows: Counts) -> tuple[Floats, float]:
    """Return NannyML's score of each window, and the bound above which it alerts; a day is a chunk.

    Jensen-Shannon distance of categories or of Doane's bins of the reference; the bound is mean and three standard
    deviations of the reference's own days.
    """
    known, days, new = reference.sum(axis=0)[1:], reference[:, 1:], windows[:, 1:]
    if column.grid is not None:
        edges = _doane(column.grid, known)
        known, days, new = (_binned(column.grid, counts, edges) for counts in (known[None], days, new))
        known = known[0]
    shares = known / known.sum()
    of_days = jensen_shannon(shares, days / days.sum(axis=1, keepdims=True), 2)
    scores = jensen_shannon(shares, new / new.sum(axis=1, keepdims=True), 2)
    return scores, float(of_days.mean() + 3 * of_days.std())


def jensen_shannon(shares: Floats, windows: Floats, base: float) -> Floats:
    """Return the Jensen-Shannon distance of each window's shares, shape (w, k), to `shares`, shape (k,)."""
    middle = (shares + windows) / 2
    divergence = (special.rel_entr(shares, middle) + special.rel_entr(windows, middle)).sum(axis=1) / 2
    return np.sqrt(np.maximum(divergence, 0) / np.log(base))


def _doane(grid: Floats, counts: Counts) -> Floats:
    """Return the bin edges that numpy's rule 'doane' gives for the rows that `counts` stand for."""
    present = grid[counts > 0]
    low, high, size = present[0], present[-1], counts.sum()
    mean = (grid * counts).sum() / size
    deviation = np.sqrt((counts * (grid - mean) ** 2).sum() / size)
    skewness = (counts * ((grid - mean) / deviation) ** 3).sum() / size
    usual = np.sqrt(6.0 * (size - 2) / ((size + 1.0) * (size + 3)))
    width = (high - low) / (1.0 + np.log2(size) + np.log2(1.0 + abs(skewness) / usual))
    return np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)


def _binned(grid: Floats, counts: Counts, edges: Floats) -> Counts:
    """Return the counts in the bins, and of all that lies outside in one more."""
    below = np.concatenate([np.zeros((len(counts), 1), np.int64), counts.cumsum(axis=1)], axis=1)
    places = np.append(np.searchsorted(grid, edges[:-1], side="left"), np.searchsorted(grid, edges[-1], side="right"))
    inside = np.diff(below[:, places], axis=1)
    return np.column_stack([inside, counts.sum(axis=1) - inside.sum(axis=1)])
