"""What a model relies on: how much worse it gets when one column's values are dealt out anew."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.classic.evaluation.metrics import METRICS, measure
from pipelines.classic.evaluation.models import answer
from pipelines.spec.training import Training

MOST_ROWS = 2000
MOST_SECONDS = 10.0
MOST_ROUNDS = 5
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Importance:
    """What shuffling one column costs in each round, in the metric's unit; no cost where the time ran out before it."""

    column: str
    costs: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean cost, 0 where none was measured."""
        return float(np.mean(self.costs)) if self.costs else 0.0


def importance_of(estimator: Any, training: Training, holdout: pa.Table) -> list[Importance]:
    """Return what each feature is worth to a model in its search metric, on at most `MOST_ROWS` rows of the holdout."""
    metric = METRICS[training.search_metric]
    sign = -1.0 if metric.lower_is_better else 1.0

    def qualities(rows: pa.Table, number: int) -> list[float]:
        found = answer(training, rows, estimator, None)
        parts = zip(np.split(found.truth, number), np.split(found.challenger, number), strict=True)
        return [sign * float(measure(training.task, metric, *part)[0]) for part in parts]

    chosen = np.sort(np.random.default_rng(0).permutation(holdout.num_rows)[:MOST_ROWS])
    return permutation_importance(holdout.take(pa.array(chosen)), training.features, qualities)


def permutation_importance(
    table: pa.Table,
    columns: Sequence[str],
    qualities: Callable[[pa.Table, int], Sequence[float]],
    seed: int = 0,
    seconds: float = MOST_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    rows_at_once: int = ROWS_AT_ONCE,
) -> list[Importance]:
    """Return what each column is worth, the dearest first, within a time.

    Columns share predictions: one of many rows takes a fraction of many of few. All columns are shuffled once before
    any is shuffled again, so that a slow model gives a rough answer about all rather than a fine one about some. The
    time is overrun by one prediction at most.

    Args:
        table: Rows to predict.
        columns: Columns to shuffle.
        qualities: How well the model does on each of so many tables of equal length that stand in one below the other;
            more is better, NaN where it cannot be measured.
        seed: Of the shuffles.
        seconds: Bound.
        clock: Tells seconds.
        rows_at_once: Most rows of one prediction; at least those of one shuffle.

    Source: L. Breiman, Random Forests, Machine Learning 45 (2001); columns that say the same share their worth.
    """
    end = clock() + seconds
    generator = np.random.default_rng(seed)
    costs: dict[str, list[float]] = {column: [] for column in columns}
    whole = qualities(table, 1)[0]
    if not math.isfinite(whole):
        return _ranked(costs)
    together = max(1, rows_at_once // max(1, table.num_rows))
    for _ in range(MOST_ROUNDS):
        for first in range(0, len(columns), together):
            if clock() >= end:
                return _ranked(costs)
            group = columns[first : first + together]
            dealt = pa.concat_tables([_dealt(table, column, generator) for column in group])
            for column, quality in zip(group, qualities(dealt, len(group)), strict=True):
                costs[column].append(whole - quality)
    return _ranked(costs)


def _dealt(table: pa.Table, column: str, generator: np.random.Generator) -> pa.Table:
    place = table.column_names.index(column)
    values = table.column(column).take(pa.array(generator.permutation(table.num_rows)))
    return table.set_column(place, table.field(place), values)


def _ranked(costs: dict[str, list[float]]) -> list[Importance]:
    found = [Importance(column, tuple(values)) for column, values in costs.items()]
    return sorted(found, key=lambda importance: (not importance.costs, -importance.mean))
