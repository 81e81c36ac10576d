"""Tell how good a regression is on rows without labels, from a model of its errors.

Where answers are wrong, and by how much, is learnt from rows whose truth is known: trees with large leaves tell the
absolute and the squared error of a row from the answer, and from the row's inputs where they are given. Their mean over
the new rows is the expected error. Of the holdout and the newest labelled window each counts alike (`ends_of`).

The interval is drawn as for classification (`pipelines.monitoring.estimates`): each draw learns from one source, from
rows drawn anew, and adds what chance does to a mean of so many errors.

Source: the NannyML team, direct loss estimation (DLE), nannyml.readthedocs.io, for the idea.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from pipelines.classic.evaluation.arrays import Array, ratio
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.known import FEWEST_KNOWN_ROWS, Known, ends_of
from pipelines.monitoring.measured import interval, performance_value
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.training import METRICS_BY_TASK
from pipelines.spec.watching import Performance

LEARNINGS = 20
TREES = 20
LEAF_SHARE, LEAST_LEAF_ROWS = 0.02, 50  # each leaf is a mean of enough errors
DRAWS = 20  # of the errors, for each of them
MOST_ROWS = 20_000  # of the window whose errors are foretold; the mean of more is the same
_POWERS = {"mae": 1, "rmse": 2}


def estimate_regression(
    answered: Answered,
    known: Sequence[Known],
    references: Sequence[MetricValue],
    settings: Performance,
    inputs: Array | None = None,
    seed: int = 0,
) -> tuple[PerformanceValue, ...]:
    """Return rmse and mae as they are to be expected, with 95 % intervals; the task's other metrics without a value.

    Args:
        answered: The rows; their truth is not looked at.
        known: The champion's answers on its holdout first, then in windows that have labels, the newest last; those
            with fewer than `FEWEST_KNOWN_ROWS` rows are left out. Without any there is no estimate.
        references: The champion's figures on its holdout.
        settings: When a figure counts as dropped.
        inputs: What else the error may hang on, shape (n, d), as the sources have it (`number_inputs`); not used
            where one of them has none.
        seed: Of all that is drawn.
    """
    sources = [source for source in known if len(source.truth) >= FEWEST_KNOWN_ROWS]
    if inputs is None or any(source.inputs is None for source in sources):
        inputs, sources = None, [Known(source.truth, source.predicted) for source in sources]
    generator = np.random.default_rng(seed)
    can_tell = len(answered.predicted) > 0 and bool(sources)
    found = []
    for metric in METRICS_BY_TASK["regression"]:
        value, bounds = float("nan"), (float("nan"), float("nan"))
        if can_tell and metric in _POWERS:
            rows = _some(len(answered.predicted), generator)
            new = _table(answered.predicted[rows], None if inputs is None else inputs[rows])
            value, drawn = _expected(new, sources, _POWERS[metric], len(answered.predicted), generator)
            bounds = interval(value, drawn)
        found.append(
            performance_value(metric, "estimated", value, bounds, len(answered.predicted), references, settings)
        )
    return tuple(found)


def number_inputs(table: pa.Table, columns: Sequence[str]) -> Array:
    """Return the numbers among the columns of a table, shape (n, d); a column that is absent is NaN, as are nulls."""
    found = []
    for name in columns:
        if name not in table.column_names:
            found.append(np.full(table.num_rows, np.nan))
            continue
        column = table.column(name)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
            values = column.cast(pa.float64(), safe=False).fill_null(np.nan)
            found.append(np.asarray(values.to_numpy(), dtype=float))
    return np.column_stack(found) if found else np.empty((table.num_rows, 0))


def _expected(
    new: Array, sources: Sequence[Known], power: int, num_rows: int, generator: np.random.Generator
) -> tuple[float, Array]:
    truth, predicted, inputs = ends_of(sources)
    forest = RandomForestRegressor(TREES, min_samples_leaf=_leaf_rows(truth), random_state=0)
    value = float(forest.fit(_table(predicted, inputs), _error(truth, predicted, power)).predict(new).mean())
    drawn = []
    for number in range(LEARNINGS):
        source = sources[number % len(sources)]
        rows = generator.integers(0, len(source.truth), len(source.truth))
        table, error = (
            _table(source.predicted, source.inputs)[rows],
            _error(source.truth, source.predicted, power)[rows],
        )
        tree = DecisionTreeRegressor(min_samples_leaf=_leaf_rows(rows), random_state=0).fit(table, error)
        fitted, foretold = tree.predict(table), tree.predict(new)
        # errors scatter in proportion to their size: harder rows than the source's scatter more
        scatter = ratio(((error - fitted) ** 2).sum(), (fitted**2).sum(), nothing=0.0) ** 0.5
        chance = scatter * (foretold**2).mean() ** 0.5 / num_rows**0.5
        drawn.append(foretold.mean() + chance * generator.normal(size=DRAWS))
    means = np.concatenate(drawn).clip(0)
    return float(value ** (1 / power)), means ** (1 / power)


def _leaf_rows(rows: Array) -> int:
    return max(LEAST_LEAF_ROWS, round(LEAF_SHARE * len(rows)))


def _error(truth: Array, predicted: Array, power: int) -> Array:
    return np.asarray(np.abs(predicted - truth) ** power)


def _table(predicted: Array, inputs: Array | None) -> Array:
    whole = predicted[:, None] if inputs is None else np.column_stack([predicted, inputs])
    return np.where(np.isfinite(whole), whole, np.nan)


def _some(num_rows: int, generator: np.random.Generator) -> Array:
    if num_rows <= MOST_ROWS:
        return np.arange(num_rows)
    return np.sort(generator.choice(num_rows, MOST_ROWS, replace=False))
