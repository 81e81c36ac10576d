"""What shuffling a column costs, and that it is bounded in time."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa

from pipelines.classic.curves.importance import draw_importance
from pipelines.classic.evaluation.importance import MOST_ROUNDS, Importance, permutation_importance


def _table() -> pa.Table:
    generator = np.random.default_rng(0)
    return pa.table({"idle": generator.random(200), "strong": generator.random(200), "weak": generator.random(200)})


def _qualities(table: pa.Table, number: int) -> list[float]:
    assert table.num_rows == number * 200
    return [_quality(table.slice(200 * place, 200)) for place in range(number)]


def _quality(table: pa.Table) -> float:
    original = _table()
    strong = np.abs(table["strong"].to_numpy() - original["strong"].to_numpy()).mean()
    weak = np.abs(table["weak"].to_numpy() - original["weak"].to_numpy()).mean()
    return float(1.0 - strong - 0.2 * weak)


def test_the_dearest_column_comes_first_and_an_idle_one_costs_nothing() -> None:
    found = permutation_importance(_table(), ["idle", "weak", "strong"], _qualities)
    assert [importance.column for importance in found] == ["strong", "weak", "idle"]
    assert found[0].mean > 3 * found[1].mean > 0
    assert found[2].costs == (0.0,) * MOST_ROUNDS


def test_the_same_seed_deals_alike() -> None:
    assert permutation_importance(_table(), ["strong"], _qualities) == permutation_importance(
        _table(), ["strong"], _qualities
    )
    assert permutation_importance(_table(), ["strong"], _qualities) != permutation_importance(
        _table(), ["strong"], _qualities, seed=1
    )


def test_columns_that_share_a_prediction_are_worth_what_each_is_alone() -> None:
    columns = ["idle", "weak", "strong"]
    together, alone = (permutation_importance(_table(), columns, _qualities, rows_at_once=rows) for rows in (450, 0))
    assert together == alone


def test_time_runs_out_evenly_over_the_columns() -> None:
    ticks = itertools.count()
    found = permutation_importance(
        _table(), ["idle", "weak", "strong"], _qualities, seconds=5, clock=lambda: float(next(ticks)), rows_at_once=200
    )
    assert {importance.column: len(importance.costs) for importance in found} == {"idle": 2, "weak": 1, "strong": 1}


def test_columns_that_were_not_reached_are_last_and_counted_in_the_picture() -> None:
    ticks = itertools.count()
    found = permutation_importance(
        _table(), ["idle", "weak", "strong"], _qualities, seconds=2, clock=lambda: float(next(ticks)), rows_at_once=200
    )
    assert [importance.costs for importance in found][1:] == [(), ()]
    figure = draw_importance(found, "roc_auc", 200)
    assert "Not measured in time: 2 of 3 columns." in figure.axes[0].texts[0].get_text().replace("\n", " ")


def test_nothing_at_all_can_be_drawn() -> None:
    draw_importance([Importance("idle", ())], "roc_auc", 0)


def test_a_model_that_cannot_be_measured_gets_no_ranking() -> None:
    found = permutation_importance(_table(), ["idle", "strong"], lambda *_: [float("nan")])
    assert [importance.costs for importance in found] == [(), ()]
