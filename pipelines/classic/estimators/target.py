"""A regressor whose target is standardised, or its logarithm is, while it learns."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

Array = NDArray[Any]

MARGIN = 0.1  # of the training targets' range: how far beyond it a prediction may go


class ScaledTarget(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Fit `regressor` to the standardised target, and answer in the target's own unit.

    With `log` the logarithm is learnt; answers are then means and not medians, by the smearing factor of Duan 1983
    (doi:10.1080/01621459.1983.10478017). Answers stay near the range of the training targets, so that one odd row
    cannot send a linear model to infinity.
    """

    def __init__(self, regressor: BaseEstimator | None = None, log: bool = False) -> None:
        self.regressor = regressor
        self.log = log

    def fit(self, X: Array, y: Array) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit on rows (n, columns) and targets (n,), which must be positive with `log`."""
        assert self.regressor is not None
        scale = np.log(y) if self.log else np.asarray(y, dtype=float)
        self.mean_, self.deviation_ = float(scale.mean()), float(scale.std()) or 1.0
        standard = (scale - self.mean_) / self.deviation_
        margin = MARGIN * float(np.ptp(standard))
        self.low_, self.high_ = float(standard.min()) - margin, float(standard.max()) + margin
        self.regressor_ = self.regressor.fit(X, standard)
        self.factor_ = 1.0
        if self.log:
            self.factor_ = float(np.clip(np.sum(y) / np.sum(self._unscaled(X)), 0.5, 2.0))
        return self

    def predict(self, X: Array) -> Array:  # noqa: N803
        """Return values in the target's unit, shape (n,)."""
        return np.asarray(self._unscaled(X) * self.factor_)

    def _unscaled(self, X: Array) -> Array:  # noqa: N803
        scale = np.clip(self.regressor_.predict(X), self.low_, self.high_) * self.deviation_ + self.mean_
        return np.asarray(np.exp(scale) if self.log else scale)
