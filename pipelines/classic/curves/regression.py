"""Pictures of a model that predicts a quantity: predictions against the truth, and what is left over."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pipelines.classic.evaluation.arrays import Array
from pipelines.gates.pictures.style import CHALLENGER, CHAMPION, REFERENCE, dress, new_figure

_MOST_POINTS = 4000
_NUM_BINS = 20


def draw_predicted_against_actual(truth: Array, predicted: Array, target: str) -> Figure:
    """Draw the challenger's predictions over the truth, a sample of at most 4,000 rows; arrays of shape (n,)."""
    figure = new_figure(6.4, 6.2)
    axes = figure.add_subplot()
    rows = _sample(len(truth))
    axes.scatter(truth[rows], predicted[rows], s=8, alpha=0.3, linewidths=0, color=CHALLENGER)
    low, high = (float(bound) for bound in np.quantile(np.concatenate([truth, predicted]), [0.001, 0.999]))
    pad = 0.05 * (high - low) or 1.0
    axes.plot([low - pad, high + pad], [low - pad, high + pad], color=REFERENCE, linewidth=1, linestyle=":")
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(low - pad, high + pad)
    axes.set_aspect("equal")
    dress(
        axes,
        "Predicted against actual",
        _told("Good: close to the dotted line, at both ends too.", rows, truth),
        f"actual {target}",
        f"predicted {target}",
    )
    return figure


def draw_residuals(truth: Array, predicted: Array, target: str) -> Figure:
    """Draw what is left of the truth over the prediction, with its running median and the band of four rows in five."""
    figure = new_figure()
    axes = figure.add_subplot()
    rows = _sample(len(truth))
    residuals = truth - predicted
    axes.scatter(predicted[rows], residuals[rows], s=8, alpha=0.25, linewidths=0, color=CHALLENGER)
    axes.axhline(0, color=REFERENCE, linewidth=1, linestyle=":")
    order = np.argsort(predicted, kind="stable")
    bins = [part for part in np.array_split(order, _NUM_BINS) if len(part)]
    middle = np.array([predicted[part].mean() for part in bins])
    low, median, high = (np.array([np.quantile(residuals[part], share) for part in bins]) for share in (0.1, 0.5, 0.9))
    axes.fill_between(middle, low, high, color=CHAMPION, alpha=0.15, linewidth=0, label="8 of 10 rows")
    axes.plot(middle, median, color=CHAMPION, linewidth=2, label="running median")
    limit = 1.1 * float(np.quantile(np.abs(residuals), 0.998)) or 1.0
    axes.set_ylim(-limit, limit)
    dress(
        axes,
        "Residuals",
        _told("Good: the median stays on 0 and the band is equally narrow everywhere.", rows, truth),
        f"predicted {target}",
        f"actual minus predicted {target}",
    )
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return figure


def _sample(num_rows: int) -> Array:
    if num_rows <= _MOST_POINTS:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(0).choice(num_rows, _MOST_POINTS, replace=False))


def _told(what_is_good: str, rows: Array, truth: Array) -> str:
    return what_is_good if len(rows) == len(truth) else f"{what_is_good} Points: {len(rows):,} of {len(truth):,} rows."
