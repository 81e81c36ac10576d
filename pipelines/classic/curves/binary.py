"""Pictures of a model that tells two classes apart: ROC, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from pipelines.classic.evaluation.arrays import Array
from pipelines.gates.pictures.style import CHALLENGER, CHAMPION, REFERENCE, dress, new_figure, plain

_MOST_POINTS = 1000
_NUM_BINS = 10
_Z_95 = 1.959964  # of the normal distribution


def draw_roc(truth: Array, scores: Mapping[str, Array], areas: Mapping[str, str]) -> Figure:
    """Draw the ROC curve of each model.

    Args:
        truth: 1 for positive rows and 0 for others, shape (n,).
        scores: The positive class's probability by model, challenger first.
        areas: What the legend says of each model's area.
    """
    figure = new_figure(6.2, 6.0)
    axes = figure.add_subplot()
    for (name, score), colour, line in zip(scores.items(), (CHALLENGER, CHAMPION), ("-", "--"), strict=False):
        false_rate, true_rate, _ = roc_curve(truth, score)
        axes.plot(
            *_thinned(false_rate, true_rate), line, color=colour, linewidth=2, label=f"{name}: area {areas[name]}"
        )
    axes.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, linestyle=":", label="guessing: area 0.500")
    axes.set_aspect("equal")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    dress(
        axes,
        "ROC curve",
        "Good: far above the dotted line, close to the upper left corner.",
        "false alarms, share of all negative rows",
        "found, share of all positive rows (recall)",
    )
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return figure


def draw_precision_recall(truth: Array, scores: Mapping[str, Array], averages: Mapping[str, str]) -> Figure:
    """Draw precision over recall of each model, with the base rate that guessing gives; arguments as `draw_roc`."""
    figure = new_figure()
    axes = figure.add_subplot()
    for (name, score), colour, line in zip(scores.items(), (CHALLENGER, CHAMPION), ("-", "--"), strict=False):
        precision, recall, _ = precision_recall_curve(truth, score)
        label = f"{name}: average precision {averages[name]}"
        axes.plot(*_thinned(recall, precision), line, color=colour, linewidth=2, label=label)
    base_rate = float(truth.mean())
    label = f"guessing: base rate {base_rate:.3f}"
    axes.axhline(base_rate, color=REFERENCE, linewidth=1, linestyle=":", label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    dress(
        axes,
        "Precision and recall",
        "Good: far above the base rate, close to the upper right corner.",
        "recall, share of positive rows found",
        "precision, share of alarms that are right",
    )
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    return figure


def draw_calibration(truth: Array, scores: Mapping[str, Array], event: str = "positive rows") -> Figure:
    """Draw how often the event happens where each probability is predicted, in ten bins of equally many rows.

    Bars are Wilson 95 % intervals. Beneath, how often each probability is predicted.

    Source: E. Wilson, Probable Inference, JASA 22 (1927).
    """
    figure = new_figure(6.2, 6.8)
    axes, beneath = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, linestyle=":", label="perfect")
    axes.axhline(truth.mean(), color=REFERENCE, linewidth=0.8, label=f"base rate {truth.mean():.3f}")
    highest = 0.0
    for (name, score), colour, line in zip(scores.items(), (CHALLENGER, CHAMPION), ("-", "--"), strict=False):
        predicted, observed, low, high = _binned(truth, score)
        axes.errorbar(
            predicted, observed, yerr=[observed - low, high - observed], fmt=f"o{line}", color=colour,
            markersize=4, linewidth=1.5, elinewidth=1, capsize=2, label=name,
        )  # fmt: skip
        beneath.hist(score, bins=50, range=(0, 1), histtype="step", color=colour, linestyle=line, linewidth=1.5)
        highest = max(highest, float(np.quantile(score, 0.999)), float(high.max()))
    limit = min(1.0, 1.05 * highest)
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    dress(
        axes,
        "Calibration",
        "Good: on the dotted line. Above it the event happens more often than predicted.",
        "",
        f"observed share of {event}",
    )
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    beneath.set_xlabel("predicted probability", fontsize=10)
    beneath.set_ylabel("rows", fontsize=10)
    plain(beneath)
    return figure


def _binned(truth: Array, score: Array) -> tuple[Array, Array, Array, Array]:
    """Return mean prediction, observed share and its interval, of bins of equally many rows."""
    order = np.argsort(score, kind="stable")
    bins = [rows for rows in np.array_split(order, _NUM_BINS) if len(rows)]
    sizes = np.array([len(rows) for rows in bins])
    predicted = np.array([score[rows].mean() for rows in bins])
    observed = np.array([truth[rows].mean() for rows in bins])
    centre = (observed + _Z_95**2 / (2 * sizes)) / (1 + _Z_95**2 / sizes)
    half = _Z_95 / (1 + _Z_95**2 / sizes) * np.sqrt(observed * (1 - observed) / sizes + _Z_95**2 / (4 * sizes**2))
    return predicted, observed, np.minimum(centre - half, observed), np.maximum(centre + half, observed)


def _thinned(x: Array, y: Array) -> tuple[Any, Any]:
    """Return at most `_MOST_POINTS` points of a curve, ends included: more cannot be seen."""
    if len(x) <= _MOST_POINTS:
        return x, y
    chosen = np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(int)
    return x[chosen], y[chosen]
