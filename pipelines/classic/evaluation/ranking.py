"""How well scores order the rows: areas under curves, for many weightings of the rows at once.

The work per weighting is a running sum over rows that were sorted once, so that a bootstrap of a thousand resamples
costs little more than a thousand running sums.
"""

from __future__ import annotations

import numpy as np

from pipelines.classic.evaluation.arrays import Array, Weights, ratio


def roc_auc(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the area under the ROC curve of the second class: the chance that a positive outranks a negative.

    Source: the Mann-Whitney form, a tie counting half; equal to scikit-learn's `roc_auc_score`.
    """
    return one_against_rest(truth == 1, predicted[:, 1], weights)


def roc_auc_ovr(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the unweighted mean of each class's area against all others, over the classes that occur.

    Source: scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")`, which refuses where a class is absent;
    here that class is left out of the mean.
    """
    areas = np.stack([one_against_rest(truth == c, predicted[:, c], weights) for c in range(predicted.shape[1])])
    measured = np.isfinite(areas)
    return ratio(np.where(measured, areas, 0.0).sum(axis=0), measured.sum(axis=0))


def average_precision(truth: Array, predicted: Array, weights: Weights) -> Array:
    """Return the precision at each positive, averaged over the positives.

    Source: scikit-learn's `average_precision_score` (a sum over thresholds, without interpolation).
    """
    scores = predicted[:, 1]
    order = np.argsort(-scores, kind="stable")
    descending = -scores[order]
    positives = order[truth[order] == 1]
    found = _running(weights.take(positives, axis=1))
    seen = _running(weights.take(order, axis=1))
    through_positives = np.searchsorted(-scores[positives], -scores[positives], side="right")
    through_rows = np.searchsorted(descending, -scores[positives], side="right")
    precision = ratio(found.take(through_positives, axis=1), seen.take(through_rows, axis=1), nothing=0.0)
    chosen = weights.take(positives, axis=1)
    return ratio(np.einsum("bi,bi->b", chosen, precision), chosen.sum(axis=1))


def one_against_rest(positive: Array, scores: Array, weights: Weights) -> Array:
    """Return the area under the ROC curve of `scores` for the rows that are `positive`; NaN without both kinds."""
    rows = np.flatnonzero(positive)
    others = np.flatnonzero(~positive)
    others = others[np.argsort(scores[others], kind="stable")]
    below = _running(weights.take(others, axis=1))
    sorted_others = scores[others]
    outranked = below.take(np.searchsorted(sorted_others, scores[rows], side="left"), axis=1)
    outranked += below.take(np.searchsorted(sorted_others, scores[rows], side="right"), axis=1)
    chosen = weights.take(rows, axis=1)
    pairs = chosen.sum(axis=1) * below[:, -1]
    return ratio(np.einsum("bi,bi->b", chosen, outranked) / 2.0, pairs)


def _running(weights: Weights) -> Array:
    """Return running sums with a leading zero: column k is the weight of the first k rows."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums
