"""Forests that grow by blocks of trees until the clock rings, and say how many trees they have.

A forest of as many trees, grown again without a clock, is the same bit for bit. Source: scikit-learn's warm start.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from pipelines.classic.search.clock import Clock

Array = NDArray[Any]
Forest = Any  # scikit-learn's extra trees or random forest, for classes or for values; it has no types

BLOCK_TREES = 10


def fit_forest(estimator: Forest, X: Array, y: Array, clock: Clock, threads: int = 1) -> tuple[int, bool]:  # noqa: N803
    """Fit in place, up to `n_estimators` trees.

    Returns:
        Trees that were grown, at least one block, and whether the clock ended it.
    """
    most = estimator.n_estimators
    grown = 0
    estimator.set_params(warm_start=True, n_jobs=threads)
    while grown < most and not (grown and clock.has_rung()):
        grown = min(grown + BLOCK_TREES, most)
        estimator.set_params(n_estimators=grown)
        estimator.fit(X, y)
    # Threads would add up the trees' answers in another order each time: predictions must not use them.
    estimator.set_params(warm_start=False, n_jobs=1)
    return grown, grown < most
