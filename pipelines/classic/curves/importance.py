"""A picture of what a model relies on."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from pipelines.classic.evaluation.importance import Importance
from pipelines.gates.pictures.style import CHALLENGER, REFERENCE, dress, new_figure

_MOST_COLUMNS = 25


def draw_importance(importances: Sequence[Importance], metric: str, num_rows: int) -> Figure:
    """Draw what shuffling each of the dearest 25 columns costs in `metric`; a line spans the rounds."""
    shown = [importance for importance in importances if importance.costs][:_MOST_COLUMNS]
    unmeasured = sum(not importance.costs for importance in importances)
    figure = new_figure(7.6, 1.9 + 0.27 * max(len(shown), 1))
    axes = figure.add_subplot()
    for place, importance in enumerate(shown):
        axes.barh(place, importance.mean, height=0.7, color=CHALLENGER, alpha=0.75)
        axes.plot([min(importance.costs), max(importance.costs)], [place, place], color="black", linewidth=1)
    axes.axvline(0, color=REFERENCE, linewidth=1)
    axes.set_yticks(range(len(shown)), [importance.column for importance in shown])
    axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
    late = f" Not measured in time: {unmeasured} of {len(importances)} columns." if unmeasured else ""
    dress(
        axes,
        "What the challenger relies on",
        f"Good: nothing here that is known only after the fact.{late}",
        f"loss of {metric} when the column is shuffled, on {num_rows:,} rows (line: all rounds)",
        "",
    )
    axes.grid(axis="y", visible=False)
    return figure
