"""The second step of a pipeline: the reader's codes and NaN, turned into what one kind of estimator wants.

`native`  numbers and codes as they are, for trees that split on categories; rare levels share the last code, and a
          column of very many levels also gets target statistics.
`target`  every category becomes statistics of the target among its rows, for trees that split on numbers only.
`dense`   missing numbers are filled and marked, small categories become indicators, large ones target statistics, for
          linear models, kernels and networks.

Target statistics are smoothed towards the whole, and on the training rows themselves they are taken from the other
folds only, so that no row sees its own target. Source: Micci-Barreca 2001, doi:10.1145/507533.507538.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

Array = NDArray[Any]

MOST_NATIVE_LEVELS = 254  # scikit-learn's histogram trees take at most 255 codes
MANY_LEVELS = {"native": 40, "target": 2, "dense": 40}  # beyond this a column gets target statistics
MOST_TARGET_CLASSES = 12  # statistics per class would make hundreds of columns
SMOOTHING_ROWS = 10.0  # weight of the whole, in rows
CROSS_FOLDS = 5


class Encoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Encode a `TableReader`'s matrix.

    Args:
        levels: Levels of each column, 0 for numbers, as `TableReader.levels_`.
        style: native, target or dense.
        num_classes: Classes of the target, whose codes are 0..num_classes-1; 0 for regression.
        seed: Decides the folds of the target statistics.

    Attributes:
        statistics_: For each column with target statistics, an array (L + 1, S): S statistics of each code.
        fill_: Median of each number, for `dense`.
        marked_: Columns whose missing values get an indicator, for `dense`.
    """

    def __init__(
        self, levels: list[int] | None = None, style: str = "native", num_classes: int = 0, seed: int = 0
    ) -> None:
        self.levels = levels
        self.style = style
        self.num_classes = num_classes
        self.seed = seed

    def fit(self, X: Array, y: Array) -> Self:  # noqa: N803 (scikit-learn's name)
        """Learn from a matrix (n, columns) and target codes or values (n,)."""
        target = self._target(y)
        self.prior_ = target.mean(axis=0)
        self.statistics_ = [
            _statistics(_codes(X[:, column], self._levels[column]), target, self._levels[column] + 1, self.prior_)
            for column in self._many
        ]
        if self.style == "dense":
            numbers = X[:, self._numbers]
            counts = (~np.isnan(numbers)).sum(axis=0)
            self.fill_ = np.array(
                [np.nanmedian(numbers[:, place]) if count else 0.0 for place, count in enumerate(counts)], dtype=float
            )
            self.marked_ = [place for place, count in enumerate(counts) if 0 < count < len(numbers)]
        return self

    def fit_transform(self, X: Array, y: Array | None = None, **params: Any) -> Array:  # noqa: N803
        """Learn, and return the encoded matrix; each row's target statistics come from the other folds."""
        assert y is not None, "the encoder needs the target"
        self.fit(X, y)
        target = self._target(y)
        fold_of = np.random.default_rng(self.seed).permutation(len(X)) % CROSS_FOLDS
        crossed = []
        for column in self._many:
            codes, size = _codes(X[:, column], self._levels[column]), self._levels[column] + 1
            encoded = np.empty((len(X), target.shape[1]))
            for fold in range(CROSS_FOLDS):
                inside = fold_of == fold
                others = ~inside
                prior = target[others].mean(axis=0) if others.any() else self.prior_
                encoded[inside] = _look_up(
                    _statistics(codes[others], target[others], size, prior), codes[inside], prior
                )
            crossed.append(encoded)
        return self._assemble(X, crossed)

    def transform(self, X: Array) -> Array:  # noqa: N803
        """Return the encoded matrix; a level without statistics gets those of the whole."""
        looked_up = [
            _look_up(statistics, _codes(X[:, column], self._levels[column]), self.prior_)
            for column, statistics in zip(self._many, self.statistics_, strict=True)
        ]
        return self._assemble(X, looked_up)

    @property
    def _levels(self) -> list[int]:
        assert self.levels is not None, "the encoder needs the levels of its columns"
        return self.levels

    @property
    def _numbers(self) -> list[int]:
        return [column for column, levels in enumerate(self._levels) if levels == 0]

    @property
    def _many(self) -> list[int]:
        if self.num_classes > MOST_TARGET_CLASSES:
            return []
        return [column for column, levels in enumerate(self._levels) if levels > MANY_LEVELS[self.style]]

    def _target(self, y: Array) -> Array:
        """Return what is averaged per level, shape (n, S): the value, or indicators of classes (of two, the second)."""
        if self.num_classes == 0:
            return np.asarray(y, dtype=float).reshape(-1, 1)
        classes = np.arange(self.num_classes)[1 if self.num_classes == 2 else 0 :]
        return np.asarray(np.asarray(y).reshape(-1, 1) == classes, dtype=float)

    def _assemble(self, X: Array, statistics: list[Array]) -> Array:  # noqa: N803
        if self.style == "dense":
            return self._assemble_dense(X, statistics)
        kept = np.array(X, dtype=float)
        for column, levels in enumerate(self._levels):
            if levels:
                kept[:, column] = np.minimum(kept[:, column], MOST_NATIVE_LEVELS)
        return np.hstack([kept, *statistics])

    def _assemble_dense(self, X: Array, statistics: list[Array]) -> Array:  # noqa: N803
        numbers = X[:, self._numbers]
        missing = np.isnan(numbers)
        blocks = [np.where(missing, self.fill_, numbers), *statistics]
        for column, levels in enumerate(self._levels):
            if levels and column not in self._many:
                # Missing and unknown are no level of their own here: all indicators are 0 for them.
                blocks.append((X[:, [column]] == np.arange(min(levels, MOST_NATIVE_LEVELS))).astype(float))
        blocks.append(missing[:, self.marked_].astype(float))
        return np.hstack(blocks)


def native_categories(levels: list[int], style: str) -> list[int]:
    """Return the columns of an encoded matrix that hold codes for trees to split on as categories."""
    return [column for column, count in enumerate(levels) if count > 2] if style == "native" else []


def num_numbers(levels: list[int]) -> int:
    """Return how many columns at the start of a dense matrix are plain numbers."""
    return sum(count == 0 for count in levels)


def _codes(column: Array, levels: int) -> Array:
    """Return codes as integers, -1 for missing; anything beyond the levels is the unknown level."""
    return np.where(np.isnan(column), -1, np.minimum(column, levels)).astype(np.int64)


def _statistics(codes: Array, target: Array, size: int, prior: Array) -> Array:
    """Return the smoothed mean of the target for each code, shape (size, S)."""
    known = codes >= 0
    counts = np.bincount(codes[known], minlength=size)[:, None]
    sums = np.column_stack([np.bincount(codes[known], weights=column[known], minlength=size) for column in target.T])
    means: Array = (sums + SMOOTHING_ROWS * prior) / (counts + SMOOTHING_ROWS)
    return means


def _look_up(statistics: Array, codes: Array, prior: Array) -> Array:
    return np.where(codes[:, None] >= 0, statistics[codes], prior)
