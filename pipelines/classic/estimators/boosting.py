"""Histogram gradient boosting that stops by the clock or by validation rows, and says after how many iterations.

The number of iterations is all that differs between two machines: run again for that many, the fit is the same bit for
bit, on any number of threads. It rests on two private names of scikit-learn's boosting, `_should_stop` and
`_predictors`; tests/classic/test_boosting.py fails when a new version moves them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from pipelines.classic.search.clock import Clock

Array = NDArray[Any]
Boosting = Any  # scikit-learn's histogram boosting, for classes or for values; it has no types

PATIENCE = 25  # iterations without a better validation loss


class _ClockedClassifier(HistGradientBoostingClassifier):  # type: ignore[misc]
    clock: Clock = Clock()
    was_stopped = False

    def _should_stop(self, scores: list[float]) -> bool:
        self.was_stopped = self.clock.has_rung()
        return self.was_stopped or bool(super()._should_stop(scores))


class _ClockedRegressor(HistGradientBoostingRegressor):  # type: ignore[misc]
    clock: Clock = Clock()
    was_stopped = False

    def _should_stop(self, scores: list[float]) -> bool:
        self.was_stopped = self.clock.has_rung()
        return self.was_stopped or bool(super()._should_stop(scores))


def fit_boosting(
    estimator: Boosting,
    X: Array,  # noqa: N803 (scikit-learn's name)
    y: Array,
    clock: Clock,
    validation: tuple[Array, Array] | None = None,
) -> tuple[int, bool]:
    """Fit in place, as long as the validation loss falls or, without validation rows, up to `max_iter`.

    With validation rows the estimator keeps only the iterations up to the best validation loss.

    Returns:
        Iterations that were run, and whether the clock ended them. Fitting again with `max_iter` set to that number and
        no clock gives the same estimator.
    """
    plain = type(estimator)
    clocked = _ClockedClassifier if isinstance(estimator, HistGradientBoostingClassifier) else _ClockedRegressor
    estimator.__class__ = clocked
    estimator.clock = clock
    # The stop is asked after each iteration only when early stopping is on; the training loss then costs one pass.
    estimator.set_params(early_stopping=True, validation_fraction=None, scoring="loss", tol=0.0)
    try:
        if validation is None:
            estimator.set_params(n_iter_no_change=estimator.max_iter + 1)
            estimator.fit(X, y)
            ran = estimator.n_iter_
        else:
            estimator.set_params(n_iter_no_change=PATIENCE)
            estimator.fit(X, y, X_val=validation[0], y_val=validation[1])
            ran = estimator.n_iter_
            best = max(1, int(np.argmax(estimator.validation_score_)))  # entry 0 is the score before the first tree
            del estimator._predictors[best:]
        return ran, estimator.was_stopped and ran < estimator.max_iter
    finally:
        del estimator.clock
        estimator.__dict__.pop("was_stopped", None)
        estimator.__class__ = plain
