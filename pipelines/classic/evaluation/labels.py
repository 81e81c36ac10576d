"""How often the most probable class is the right one, for many weightings of the rows at once.

Conventions are scikit-learn's, with its `zero_division=0`: a model that never answers a class has precision 0 there.
What cannot be measured at all, such as recall where the class does not occur, is NaN.
"""

from __future__ import annotations

import numpy as np

from pipelines.classic.evaluation.arrays import Array, Weights, ratio


def accuracy(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the share of rows whose most probable class is the true one. Source: `accuracy_score`."""
    return ratio(weights @ (predicted.argmax(axis=1) == truth).astype(float), weights.sum(axis=1))


def precision(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the share of rows called positive that are; 0 when none is called so. Source: `precision_score`."""
    hits, called, occurring = _counts(truth, predicted, weights)
    return np.where(occurring[:, 1] > 0, ratio(hits[:, 1], called[:, 1], nothing=0.0), np.nan)


def recall(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the share of positive rows that are called positive. Source: `recall_score`."""
    hits, _, occurring = _counts(truth, predicted, weights)
    return ratio(hits[:, 1], occurring[:, 1])


def f1(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the harmonic mean of precision and recall of the second class. Source: `f1_score`."""
    hits, called, occurring = _counts(truth, predicted, weights)
    return np.where(occurring[:, 1] > 0, ratio(2 * hits[:, 1], called[:, 1] + occurring[:, 1]), np.nan)


def balanced_accuracy(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the mean recall over the classes that occur. Source: `balanced_accuracy_score`."""
    hits, _, occurring = _counts(truth, predicted, weights)
    return _mean_where(ratio(hits, occurring, nothing=0.0), occurring > 0)


def f1_macro(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the mean F1 over the classes that occur or are answered. Source: `f1_score(average="macro")`."""
    hits, called, occurring = _counts(truth, predicted, weights)
    return _mean_where(ratio(2 * hits, called + occurring, nothing=0.0), called + occurring > 0)


def _counts(truth: Array, predicted: Array, weights: Weights) -> tuple[Array, Array, Array]:
    """Return rows answered rightly, answered and occurring, each of shape (resamples, K)."""
    classes = np.arange(predicted.shape[1])
    called = predicted.argmax(axis=1)[:, None] == classes
    occurring = truth[:, None] == classes
    return (
        weights @ (called & occurring).astype(float),
        weights @ called.astype(float),
        weights @ occurring.astype(float),
    )


def _mean_where(values: Array, chosen: Array) -> Array:
    return ratio(np.where(chosen, values, 0.0).sum(axis=1), chosen.sum(axis=1))
