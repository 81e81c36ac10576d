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

    def quality(rows: pa.Table) -> float:
        found = answer(training, rows, estimator, None)
        return sign * float(measure(training.task, metric, found.truth, found.challenger)[0])

    chosen = np.sort(np.random.default_rng(0).permutation(holdout.num_rows)[:MOST_ROWS])
    return permutation_importance(holdout.take(pa.array(chosen)), training.features, quality)


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
        table: Rows to predict.
        columns: Columns to shuffle.
        quality: How well the model does on rows in this order, more is better; NaN where it cannot be measured.
        seed: Of the shuffles.
        seconds: Bound.
        clock: Tells seconds.

    Source: L. Breiman, Random Forests, Machine Learning 45 (2001); columns that say the same share their worth.
    """
    end = clock() + seconds
    generator = np.random.default_rng(seed)
    costs: dict[str, list[float]] = {column: [] for column in columns}
    whole = quality(table)
    if not math.isfinite(whole):
        return _ranked(costs)
    for _ in range(MOST_ROUNDS):
        for column in columns:
            if clock() >= end:
                return _ranked(costs)
            place = table.column_names.index(column)
            dealt = table.column(column).take(pa.array(generator.permutation(table.num_rows)))
            costs[column].append(whole - quality(table.set_column(place, table.field(place), dealt)))
    return _ranked(costs)


def _ranked(costs: dict[str, list[float]]) -> list[Importance]:
    found = [Importance(column, tuple(values)) for column, values in costs.items()]
    return sorted(found, key=lambda importance: (not importance.costs, -importance.mean))
