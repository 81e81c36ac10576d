"""What a search will do, decided before its first fit from the rows' shape, the spec and the budget."""

from __future__ import annotations

import numpy as np
import scipy.stats
import sklearn

from pipelines.classic.search.budget import default_fit_seconds
from pipelines.classic.search.portfolio import portfolio
from pipelines.classic.search.rows import Rows, search_rows
from pipelines.classic.search.trials import SearchDetail
from pipelines.records import sha256_of
from pipelines.spec.training import Training

FEWEST_SEARCH_ROWS = 10_000
SECONDS_OF_ONE_FIT = 10.0  # where the budget is in trials
SHARE_OF_ONE_FIT_IN_PORTFOLIO = 0.1  # of a budget in seconds
CELLS_PER_SECOND = 10_000  # rows × columns that the search may fit on, for each second of the budget
CELLS_WITHOUT_SECONDS = 4_000_000


def plan_search(
    rows: Rows, training: Training, time_column: str | None, budget_seconds: float | None, budget_trials: int | None
) -> SearchDetail:
    """Return the plan of a search.

    Args:
        rows: All training rows.
        training: The spec's section; its budget is not looked at.
        time_column: Along which folds go, when the spec says so.
        budget_seconds: Wall-clock seconds for everything from the first trial to the saved model, or None.
        budget_trials: Trials, or None; exactly one of the two budgets is given.
    """
    most = most_search_rows(rows.X.shape[1], budget_seconds)
    chosen = search_rows(rows, most, training.seed)
    num_rows, num_search_rows = len(rows.y), len(chosen.y)
    notes = [chosen.folds.note] if chosen.folds.note else []
    if num_search_rows < num_rows:
        notes.append(
            f"the search fits on {num_search_rows} of {num_rows} rows; the model is fitted to all if time allows"
        )
    if rows.reader.left_out_:
        notes.append(f"features that do not vary are left out: {', '.join(rows.reader.left_out_)}")
    metric = training.search_metric
    return SearchDetail(
        task=training.task,
        metric=metric,
        target=training.target,
        features=training.features,
        time_column=time_column if training.folds == "time" else None,
        by_time=training.folds == "time",
        seed=training.seed,
        configurations=portfolio(
            metric, len(rows.classes), num_search_rows, _skewness(rows), _fit_seconds(budget_seconds)
        ),
        num_rows=num_rows,
        num_search_rows=num_search_rows,
        num_folds=chosen.folds.num_folds,
        num_classes=len(rows.classes),
        budget_seconds=budget_seconds,
        budget_trials=budget_trials,
        max_fit_seconds=training.max_fit_seconds or default_fit_seconds(budget_seconds),
        calibrate=training.calibrate,
        refine=training.refine,
        notes=tuple(notes),
    )


def most_search_rows(num_columns: int, budget_seconds: float | None) -> int:
    """Return how many rows the search may fit on, so that a portfolio's worth of fits has time."""
    cells = CELLS_WITHOUT_SECONDS if budget_seconds is None else CELLS_PER_SECOND * budget_seconds
    return max(FEWEST_SEARCH_ROWS, int(cells / max(1, num_columns)))


def plan_id(detail: SearchDetail, snapshot_id: str) -> str:
    """Return the plan's identity: what is searched on which snapshot, and the libraries that decide a fit's bits."""
    libraries = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}
    return sha256_of({"detail": detail.to_dict(), "snapshot": snapshot_id, "libraries": libraries})


def _fit_seconds(budget_seconds: float | None) -> float:
    """Return what one fit of a portfolio may take, whatever machine the search will run on."""
    return SECONDS_OF_ONE_FIT if budget_seconds is None else budget_seconds * SHARE_OF_ONE_FIT_IN_PORTFOLIO


def _skewness(rows: Rows) -> float | None:
    if rows.classes or rows.y.min() <= 0:
        return None
    return float(np.round(scipy.stats.skew(rows.y), 3))
