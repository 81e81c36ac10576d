"""Summarise the distribution of numbers in at most a few hundred weighted values, mergeable, the same on every machine.

The quantile sketches of Apache DataSketches (KLL, REQ, classic) toss coins that cannot be seeded from Python, so two
runs over one partition give other bytes, and a snapshot's id could not be a hash. This summary has no chance in it: it
keeps the value at the middle rank of each of `POINTS` equal blocks, and carries the bound of its own error with it. A
column with no more than `POINTS` distinct values is kept exactly. Only integers and values of the column are stored.

Source: equal-weight merging, Agarwal et al., Mergeable Summaries (PODS 2012), section 3.1, in its deterministic form.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

POINTS = 512
BUFFER_POINTS = 8_192  # finer, for the parts of one partition before they are put together

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class QuantileSummary:
    """Distinct values in rising order, how many rows each stands for, and by how many rows any rank may be wrong."""

    values: Floats
    weights: Counts
    rank_error_rows: int

    @property
    def num_rows(self) -> int:
        """The rows that were summarised."""
        return int(self.weights.sum())

    @property
    def rank_error(self) -> float:
        """The bound of the error of any rank, as a share of the rows."""
        return self.rank_error_rows / max(self.num_rows, 1)

    def quantile(self, share: float) -> float:
        """Return the value below or at which `share` of the rows lie, NaN without rows.

        >>> summarise(np.arange(100.0)).quantile(0.5)
        49.0
        """
        if not self.values.size:
            return float("nan")
        rank = max(int(np.ceil(share * self.num_rows)), 1)
        return float(self.values[np.searchsorted(np.cumsum(self.weights), rank)])

    def share_below_or_at(self, points: Floats) -> Floats:
        """Return for each of `points`, shape (k,), the share of rows with a value not above it, shape (k,)."""
        cumulative = np.concatenate([[0], np.cumsum(self.weights)])
        return np.asarray(cumulative[np.searchsorted(self.values, points, side="right")] / max(self.num_rows, 1))

    def encode(self) -> str:
        """Return the summary as text: base64 of the error, the values and the weights, little-endian."""
        parts = [np.array([self.rank_error_rows], "<i8"), self.values.astype("<f8"), self.weights.astype("<i8")]
        return base64.b64encode(b"".join(part.tobytes() for part in parts)).decode()

    @classmethod
    def decode(cls, text: str) -> QuantileSummary:
        """Return the summary that `encode` wrote."""
        data = base64.b64decode(text, validate=True)
        size = (len(data) - 8) // 16
        error = np.frombuffer(data, "<i8", count=1)
        values = np.frombuffer(data, "<f8", count=size, offset=8)
        weights = np.frombuffer(data, "<i8", count=size, offset=8 + 8 * size)
        return cls(values.astype(np.float64), weights.astype(np.int64), int(error[0]))


def summarise(values: Floats, points: int = POINTS) -> QuantileSummary:
    """Return the summary of finite `values`, shape (n,), in any order."""
    distinct, counts = np.unique(values, return_counts=True)
    return _compress(QuantileSummary(distinct, counts.astype(np.int64), 0), points)


def merge_summaries(summaries: Sequence[QuantileSummary], points: int = POINTS) -> QuantileSummary:
    """Return the summary of all rows together.

    Merge many at once where possible: the parts' errors add up, and each merge that compresses adds half a block.
    """
    values, places = np.unique(np.concatenate([summary.values for summary in summaries]), return_inverse=True)
    weights = np.zeros(values.size, np.int64)
    np.add.at(weights, places, np.concatenate([summary.weights for summary in summaries]))
    return _compress(QuantileSummary(values, weights, sum(one.rank_error_rows for one in summaries)), points)


def _compress(summary: QuantileSummary, points: int) -> QuantileSummary:
    if summary.values.size <= points:
        return summary
    bounds = np.arange(points + 1, dtype=np.int64) * summary.num_rows // points
    middles = (bounds[:-1] + bounds[1:]) // 2  # 0-based rank of the row that stands for its block
    chosen = summary.values[np.searchsorted(np.cumsum(summary.weights), middles, side="right")]
    values, places = np.unique(chosen, return_inverse=True)
    weights = np.zeros(values.size, np.int64)
    np.add.at(weights, places, np.diff(bounds))
    half_block = int(np.diff(bounds).max() + 1) // 2
    return QuantileSummary(values, weights, summary.rank_error_rows + half_block)
