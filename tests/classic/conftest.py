"""Rows of every kind of column, small enough to fit on in milliseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.classic.search.planning import plan_search
from pipelines.classic.search.rows import Rows, SearchRows, read_rows, search_rows
from pipelines.classic.search.trials import SearchDetail
from pipelines.spec.training import Training

FEATURES = ("amount", "half", "kind", "flag", "day")


def make_table(num_rows: int = 240, task: str = "binary", seed: int = 0) -> pa.Table:
    """Return rows whose target `y` follows from the features, with noise; `when` is a time in no order."""
    random = np.random.default_rng(seed)
    amount, half = random.normal(size=num_rows), random.normal(size=num_rows)
    kind = random.integers(0, 5, num_rows)
    score = amount + 0.5 * half**2 + 0.4 * kind + 0.5 * random.normal(size=num_rows)
    target = {
        "binary": pa.array(score > 1.2),
        "multiclass": pa.array(np.array(["low", "middle", "top"])[np.digitize(score, [0.5, 1.8])]),
        "regression": pa.array(np.exp(score)),
    }[task]
    start = dt.datetime(2013, 1, 1)
    return pa.table(
        {
            "amount": amount,
            "half": pa.array(half, mask=random.random(num_rows) < 0.1),
            "kind": [f"kind {value}" if value else None for value in kind],
            "flag": random.random(num_rows) < 0.5,
            "day": [start + dt.timedelta(hours=int(hours)) for hours in random.integers(0, 5_000, num_rows)],
            "when": [start + dt.timedelta(minutes=int(minute)) for minute in random.permutation(num_rows)],
            "y": target,
        }
    )


def make_training(task: str = "binary", **changes: Any) -> Training:
    """Return the training section for `make_table`."""
    fields: dict[str, Any] = {"task": task, "target": "y", "features": FEATURES, "budget": {"trials": 8}}
    return Training.model_validate({**fields, **changes})


@pytest.fixture(scope="session")
def table() -> Callable[..., pa.Table]:
    """Rows of every kind of column: `table(num_rows, task, seed)`."""
    return make_table


@pytest.fixture(scope="session")
def training() -> Callable[..., Training]:
    """A training section for those rows: `training(task, **changes)`."""
    return make_training


Planned = tuple[SearchDetail, Rows, SearchRows]


@pytest.fixture(scope="session")
def planned() -> Callable[..., Planned]:
    """A plan and its rows: `planned(task, trials, seconds, num_rows, **changes)`."""

    def make(
        task: str = "binary", trials: int | None = 8, seconds: float | None = None, num_rows: int = 240, **changes: Any
    ) -> Planned:
        training = make_training(task, **changes)
        rows = read_rows(make_table(num_rows, task), training, "when")
        detail = plan_search(rows, training, "when", seconds, trials)
        return detail, rows, search_rows(rows, detail.num_search_rows, detail.seed)

    return make
