"""A regression's error where no truth is known, from where it erred before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.monitoring.answers import Answered
from pipelines.monitoring.error_model import estimate_regression, number_inputs
from pipelines.monitoring.known import MOST_KNOWN_ROWS, Known, known_from
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.training import METRICS_BY_TASK
from pipelines.spec.watching import Performance

SETTINGS = Performance(may_drop_by=0.2, minimum_rows=100)


def _rows(num_rows: int, low: float, high: float, seed: int = 0) -> Known:
    """Errors grow with the answer: their spread is a tenth of it."""
    generator = np.random.default_rng(seed)
    predicted = generator.uniform(low, high, num_rows)
    return Known(predicted + generator.normal(size=num_rows) * predicted / 10, predicted)


def _answered(predicted: Any) -> Answered:
    predicted = np.asarray(predicted, float)
    return Answered(predicted, None, (), len(predicted), 0, 0)


def _of(values: tuple[PerformanceValue, ...], metric: str) -> PerformanceValue:
    (found,) = [value for value in values if value.metric == metric]
    return found


def _truth(known: Known) -> dict[str, float]:
    error = known.predicted - known.truth
    return {"mae": float(np.abs(error).mean()), "rmse": float((error**2).mean() ** 0.5)}


def test_the_error_is_foretold_for_rows_that_are_harder_than_the_holdout() -> None:
    holdout, window = _rows(3000, 0, 100), _rows(1000, 60, 100, seed=1)
    found = estimate_regression(_answered(window.predicted), [holdout], [], SETTINGS)
    for metric, truth in _truth(window).items():
        value = _of(found, metric)
        assert value.source == "estimated"
        assert value.value == pytest.approx(truth, rel=0.08)
        assert value.low < value.value < value.high
        assert value.low < truth < value.high
        assert _truth(holdout)[metric] < value.low


def test_what_it_cannot_foretell_has_no_value() -> None:
    found = estimate_regression(_answered(np.arange(200.0)), [_rows(500, 0, 100)], [], SETTINGS)
    assert tuple(value.metric for value in found) == METRICS_BY_TASK["regression"]
    assert _of(found, "r2").value is None
    assert _of(found, "median_absolute_error").value is None


def test_a_rise_of_the_error_is_a_drop() -> None:
    reference = MetricValue(metric="mae", slice="all", value=3.0, low=2.9, high=3.1, num_rows=3000)
    window = _answered(np.linspace(60, 100, 1000))
    found = estimate_regression(window, [_rows(3000, 0, 100)], [reference], SETTINGS)
    assert _of(found, "mae").dropped
    assert not _of(found, "rmse").dropped


def test_inputs_tell_what_the_answer_does_not() -> None:
    generator = np.random.default_rng(0)
    predicted, wild = generator.normal(size=2000), generator.integers(0, 2, 2000)
    truth = predicted + generator.normal(size=2000) * np.where(wild, 5.0, 1.0)
    known = Known(truth, predicted, wild[:, None].astype(float))
    window = _answered(generator.normal(size=800))
    wild_only = estimate_regression(window, [known], [], SETTINGS, inputs=np.ones((800, 1)))
    blind = estimate_regression(window, [known], [], SETTINGS)
    assert _of(wild_only, "rmse").value == pytest.approx(5.0, rel=0.1)
    assert _of(blind, "rmse").value == pytest.approx((13) ** 0.5, rel=0.1)


def test_inputs_that_one_source_lacks_are_not_used() -> None:
    known = _rows(500, 0, 100)
    with_inputs = Known(known.truth, known.predicted, np.full((500, 2), np.nan))
    window = _answered(np.linspace(0, 100, 200))
    assert estimate_regression(window, [with_inputs, known], [], SETTINGS, np.zeros((200, 2))) == estimate_regression(
        window, [known, known], [], SETTINGS
    )


def test_a_newer_source_pulls_the_estimate_and_widens_its_interval() -> None:
    old, window = _rows(2000, 50, 100), _answered(np.linspace(50, 100, 500))
    new = Known(old.predicted + 3 * (old.truth - old.predicted), old.predicted)
    alone, both = (_of(estimate_regression(window, known, [], SETTINGS), "mae") for known in ([old], [old, new]))
    assert both.value == pytest.approx(2 * alone.value, rel=0.1)
    assert both.low < alone.value * 1.2
    assert both.high > alone.value * 2.8


@pytest.mark.parametrize(
    ("window", "known"),
    [
        (np.empty(0), [_rows(500, 0, 100)]),
        (np.arange(10.0), []),
        (np.arange(10.0), [_rows(99, 0, 100)]),
        (np.arange(10.0), [Known(np.empty(0), np.empty(0))]),
    ],
    ids=["no row", "nothing known", "too little known", "an empty holdout"],
)
def test_without_rows_or_knowledge_there_is_no_estimate(window: Any, known: list[Known]) -> None:
    for value in estimate_regression(_answered(window), known, [], SETTINGS):
        assert (value.value, value.low, value.high, value.dropped) == (None, None, None, False)


def test_one_row_and_constant_answers_are_estimated() -> None:
    known = _rows(500, 40, 60)
    one = _of(estimate_regression(_answered([50.0]), [known], [], SETTINGS), "mae")
    constant = _of(estimate_regression(_answered([50.0] * 400), [known], [], SETTINGS), "mae")
    assert one.value == pytest.approx(constant.value)
    assert one.high - one.low > 2 * (constant.high - constant.low)


def test_a_champion_without_error_is_foretold_to_have_none() -> None:
    known = Known(np.arange(300.0), np.arange(300.0))
    value = _of(estimate_regression(_answered(np.arange(50.0)), [known], [], SETTINGS), "rmse")
    assert (value.value, value.low, value.high) == (0.0, 0.0, 0.0)


def test_the_same_rows_give_the_same_estimate() -> None:
    known, window = _rows(500, 0, 100), _answered(np.linspace(0, 100, 300))
    assert estimate_regression(window, [known], [], SETTINGS) == estimate_regression(window, [known], [], SETTINGS)


def test_inputs_are_the_numbers_of_a_table_and_an_absent_column_is_missing() -> None:
    table = pa.table({"a": [1, None], "b": ["x", "y"], "c": [True, False]})
    found = number_inputs(table, ["a", "b", "c", "gone"])
    assert found.shape == (2, 3)
    assert found[0].tolist()[:2] == [1.0, 1.0]
    assert np.isnan(found[1, 0])
    assert np.isnan(found[:, 2]).all()


def test_of_a_large_source_some_rows_are_kept_evenly() -> None:
    answered = Answered(np.arange(50_000.0), np.arange(50_000.0), (), 50_000, 0, 0)
    kept = known_from(answered, np.arange(50_000.0)[:, None])
    assert len(kept.truth) == MOST_KNOWN_ROWS
    assert kept.inputs is not None
    assert np.array_equal(kept.inputs[:, 0], kept.truth)
    assert kept.truth.mean() == pytest.approx(25_000, rel=0.01)
