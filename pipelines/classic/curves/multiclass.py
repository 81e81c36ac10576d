"""Pictures of a model that tells several classes apart: which it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pipelines.classic.evaluation.arrays import Array
from pipelines.gates.pictures.style import dress, new_figure

_MOST_CLASSES = 20
_LONGEST_NAME = 16


def draw_confusion(truth: Array, predicted: Array, classes: Sequence[Any]) -> Figure:
    """Draw, for each true class, the share of its rows that is taken for each class.

    Of more than 20 classes the largest are shown and the rest are one class, `other`.

    Args:
        truth: Class codes, shape (n,).
        predicted: Probabilities, shape (n, K).
        classes: The labels, in the order of the codes.
    """
    codes, answers, names = _largest(truth, predicted.argmax(axis=1), [str(label) for label in classes])
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (codes, answers), 1)
    rows = counts.sum(axis=1)
    shares = np.divide(counts, rows[:, None], out=np.zeros_like(counts), where=rows[:, None] > 0)
    size = 2.6 + 0.45 * len(names)
    figure = new_figure(max(5.8, size + 0.6), max(4.4, size))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(shares > 0.005):
        shade = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=9, color=shade)
    axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=45, ha="right")
    axes.set_yticks(range(len(names)), [f"{_short(name)} ({n:,.0f})" for name, n in zip(names, rows, strict=True)])
    dress(
        axes,
        "Confusion matrix of the challenger",
        "Good: dark on the diagonal, white elsewhere. Numbers: % of the true class's rows.",
        "predicted class",
        "true class (rows in the holdout)",
    )
    axes.grid(visible=False)
    return figure


def _largest(codes: Array, answers: Array, names: list[str]) -> tuple[Array, Array, list[str]]:
    if len(names) <= _MOST_CLASSES:
        return codes, answers, names
    kept = np.sort(np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")[: _MOST_CLASSES - 1])
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    return place[codes], place[answers], [*(names[code] for code in kept), "other"]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
