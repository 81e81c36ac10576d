"""What a model relies on: how much worse it gets when one column's values are dealt out anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure

from pipelines.classic.curves_style import CHALLENGER, REFERENCE, dress, new_figure

MOST_ROWS = 2000
MOST_SECONDS = 20.0
MOST_ROUNDS = 5
_MOST_COLUMNS = 25


@dataclass(frozen=True)
class Importance:
    """What shuffling one column costs in each round, in the metric's unit; no cost where the time ran out before it."""

    column: str
    costs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean cost, 0 where none was measured."""
        return float(np.mean(self.costs)) if self.costs else 0.0


def permutation_importance(
    table: pa.Table,
    columns: Sequence[str],
    quality: Callable[[pa.Table], float],
    seed: int = 0,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> list[Importance]:
    """Return what each column is worth, the dearest first, within a time.

    All columns are shuffled once before any is shuffled again, so that a slow model gives a rough answer about all
    rather than a fine one about some. The time is overrun by one prediction at most.

    Args:
        table: Rows to predict; a sample of `MOST_ROWS` is enough.
        columns: Columns to shuffle.
        quality: How well the model does on rows in this order, more is better.
        seed: Of the shuffles.
        seconds: Bound.
        clock: Tells seconds.

    Source: L. Breiman, Random Forests, Machine Learning 45 (2001); columns that say the same share their worth.
    """
    end = clock() + seconds
    generator = np.random.default_rng(seed)
    costs: dict[str, list[float]] = {column: [] for column in columns}
    whole = quality(table)
    for _ in range(MOST_ROUNDS):
        for column in columns:
            if clock() >= end:
                return _ranked(costs)
            place = table.column_names.index(column)
            dealt = table.column(column).take(pa.array(generator.permutation(table.num_rows)))
            costs[column].append(whole - quality(table.set_column(place, table.field(place), dealt)))
    return _ranked(costs)


def draw_importance(importances: Sequence[Importance], metric: str, num_rows: int) -> Figure:
    """Draw the dearest 25 columns; a line spans the rounds."""
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
    late = f" Not reached in time: {unmeasured} of {len(importances)} columns." if unmeasured else ""
    dress(
        axes,
        "What the challenger relies on",
        f"Good: nothing here that is known only after the fact.{late}",
        f"loss of {metric} when the column is shuffled, on {num_rows:,} rows (line: all rounds)",
        "",
    )
    axes.grid(axis="y", visible=False)
    return figure


def _ranked(costs: dict[str, list[float]]) -> list[Importance]:
    found = [Importance(column, tuple(values)) for column, values in costs.items()]
    return sorted(found, key=lambda importance: (not importance.costs, -importance.mean))
