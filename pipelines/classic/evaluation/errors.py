"""How far predictions are from the truth, for many weightings of the rows at once."""

from __future__ import annotations

import numpy as np

from pipelines.classic.evaluation.arrays import Array, Weights, ratio

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)  # as scikit-learn's log_loss: keeps the logarithm finite


def log_loss(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the mean of minus the logarithm of the true class's probability, in nats. Source: `log_loss`."""
    of_truth = predicted[np.arange(len(truth)), truth]
    return _mean(-np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)), weights)


def brier(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the mean squared error of the second class's probability. Source: `brier_score_loss`."""
    return _mean((predicted[:, 1] - (truth == 1)) ** 2, weights)


def rmse(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the root of the mean squared error, in the target's unit. Source: `root_mean_squared_error`."""
    return np.asarray(np.sqrt(_mean((predicted - truth) ** 2, weights)))


def mae(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the mean absolute error, in the target's unit. Source: `mean_absolute_error`."""
    return _mean(np.abs(predicted - truth), weights)


def median_absolute_error(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the median absolute error, in the target's unit. Source: `median_absolute_error`."""
    errors = np.abs(predicted - truth)
    order = np.argsort(errors, kind="stable")
    through = np.cumsum(weights.take(order, axis=1), axis=1)
    half = through[:, -1:] / 2
    lower = np.minimum((through < half).sum(axis=1), len(errors) - 1)
    upper = np.minimum((through <= half).sum(axis=1), len(errors) - 1)
    return np.asarray((errors[order[lower]] + errors[order[upper]]) / 2)


def r2(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the share of the target's variance that is explained; NaN for a constant target. Source: `r2_score`."""
    centred = truth - truth.mean()  # keeps the difference of squares below from cancelling
    spread = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    spread = np.where(spread > _SMALLEST_PROBABILITY * np.max(centred**2, initial=0.0), spread, 0.0)
    return 1.0 - ratio(_mean((predicted - truth) ** 2, weights), spread)


def _mean(values: Array, weights: Weights) -> Array:
    return ratio(weights @ values, weights.sum(axis=1))
