"""How good a classifier is where no truth is known, from how sure it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pipelines.monitoring.estimates as estimates
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.estimates import estimate_window
from pipelines.monitoring.known import Known
from pipelines.monitoring.measured import measure_window
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.training import METRICS_BY_TASK
from pipelines.spec.watching import Performance

SETTINGS = Performance(may_drop_by=0.02, minimum_rows=100)


def _answered(predicted: Any, truth: Any = None) -> Answered:
    predicted = np.asarray(predicted, float)
    return Answered(predicted, truth, (), len(predicted), 0, 0)


def _binary(num_rows: int, sharpness: float, seed: int = 0) -> Answered:
    """Probabilities that mean what they say; the sharper, the better they rank."""
    generator = np.random.default_rng(seed)
    positive = 1 / (1 + np.exp(-(sharpness * generator.normal(size=num_rows) - 0.8)))
    return _answered(np.column_stack([1 - positive, positive]), (generator.random(num_rows) < positive).astype(int))


def _many(num_rows: int, concentration: float, seed: int = 0) -> Answered:
    generator = np.random.default_rng(seed)
    predicted = generator.dirichlet([concentration] * 3, num_rows)
    truth = (generator.random(num_rows)[:, None] > predicted.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    return _answered(predicted, truth)


def _bold(answered: Answered, by: float) -> Answered:
    """The same rows, answered with log-odds that are `by` times too large."""
    log_odds = by * np.log(answered.predicted[:, 1] / answered.predicted[:, 0])
    positive = 1 / (1 + np.exp(-log_odds))
    return _answered(np.column_stack([1 - positive, positive]), answered.truth)


def _known(answered: Answered) -> Known:
    assert answered.truth is not None
    return Known(answered.truth, answered.predicted)


def _by_metric(values: tuple[PerformanceValue, ...]) -> dict[str, PerformanceValue]:
    return {value.metric: value for value in values}


def _measured(task: Any, answered: Answered) -> dict[str, PerformanceValue]:
    return _by_metric(measure_window(task, answered, [], SETTINGS, 2))


@pytest.mark.parametrize(
    ("task", "window", "holdout"),
    [
        ("binary", _binary(5000, 1.5, seed=1), _binary(5000, 1.0, seed=2)),
        ("multiclass", _many(2500, 0.5, seed=1), _many(2000, 1.0, seed=2)),
    ],
)
def test_every_metric_of_easier_rows_is_foretold(task: Any, window: Answered, holdout: Answered) -> None:
    found = _by_metric(estimate_window(task, window, [_known(holdout)], [], SETTINGS))
    assert tuple(found) == METRICS_BY_TASK[task]
    truth, was = _measured(task, window), _measured(task, holdout)
    for metric, value in found.items():
        assert value.source == "estimated"
        assert value.value == pytest.approx(truth[metric].value, abs=0.04)
        assert value.low <= truth[metric].value <= value.high
        assert abs(value.value - truth[metric].value) < abs(was[metric].value - truth[metric].value)


def test_probabilities_that_are_too_bold_are_not_believed() -> None:
    holdout, window = _bold(_binary(2000, 1.0), 3.0), _bold(_binary(3000, 1.0, seed=1), 3.0)
    truth = _measured("binary", window)
    believed = _by_metric(estimate_window("binary", window, [], [], SETTINGS))
    corrected = _by_metric(estimate_window("binary", window, [_known(holdout)], [], SETTINGS))
    for metric in ("log_loss", "brier", "roc_auc", "accuracy"):
        assert corrected[metric].low <= truth[metric].value <= corrected[metric].high
        assert not believed[metric].low <= truth[metric].value <= believed[metric].high


def test_the_truth_lies_in_its_interval_about_as_often_as_it_should() -> None:
    inside = []
    for seed in range(25):
        holdout, window = _binary(400, 1.0, seed=seed), _binary(300, 1.2, seed=seed + 1000)
        found = _by_metric(estimate_window("binary", window, [_known(holdout)], [], SETTINGS, seed=seed))
        truth = _measured("binary", window)
        inside += [found[name].low <= truth[name].value <= found[name].high for name in ("roc_auc", "brier")]
    assert np.mean(inside) > 0.88


def test_the_holdout_and_the_newest_labelled_window_count_alike_and_widen_the_interval() -> None:
    holdout, window = _binary(4000, 1.0), _binary(3000, 1.0, seed=1)
    worse = _bold(_binary(400, 1.0, seed=2), 2.0)
    alone, newest, both = (
        _by_metric(estimate_window("binary", window, known, [], SETTINGS))["roc_auc"]
        for known in ([_known(holdout)], [_known(worse)], [_known(holdout), _known(worse)])
    )
    assert newest.value < both.value < alone.value
    larger = Known(np.tile(_known(worse).truth, 10), np.tile(worse.predicted, (10, 1)))
    again = _by_metric(estimate_window("binary", window, [_known(holdout), larger], [], SETTINGS))["roc_auc"]
    assert both.value == pytest.approx(again.value, abs=1e-3)
    assert both.low < newest.value
    assert both.high > alone.value


def test_more_sources_widen_the_interval_and_only_the_ends_make_the_value() -> None:
    holdout, window, newest = _binary(2000, 1.0), _binary(2000, 1.0, seed=1), _binary(2000, 1.0, seed=2)
    odd = _known(_bold(_binary(2000, 1.0, seed=3), 3.0))
    two, three = (
        _by_metric(estimate_window("binary", window, known, [], SETTINGS))["roc_auc"]
        for known in ([_known(holdout), _known(newest)], [_known(holdout), odd, _known(newest)])
    )
    assert three.value == two.value
    assert three.low < two.low


def test_a_fall_that_is_foretold_is_a_drop() -> None:
    reference = MetricValue(metric="roc_auc", slice="all", value=0.9, low=0.89, high=0.91, num_rows=5000)
    window = _binary(2000, 0.5)
    found = _by_metric(estimate_window("binary", window, [_known(_binary(2000, 0.5, seed=1))], [reference], SETTINGS))
    assert found["roc_auc"].dropped
    assert found["roc_auc"].reference == 0.9
    assert not found["brier"].dropped


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("num_rows", [0, 1])
def test_of_no_row_or_one_nothing_is_told(task: Any, num_rows: int) -> None:
    window = _answered(np.full((num_rows, 3 if task == "multiclass" else 2), 1 / 3))
    for value in estimate_window(task, window, [_known(_binary(500, 1.0))], [], SETTINGS):
        assert (value.value, value.low, value.dropped, value.num_rows) == (None, None, False, num_rows)


@pytest.mark.parametrize("row", [[1.5, -0.5], [0.5, 0.7]])
def test_of_answers_that_are_no_probabilities_nothing_is_told(row: list[float]) -> None:
    window = _answered([[0.4, 0.6]] * 300 + [row])
    for known in ([], [_known(_binary(500, 1.0))]):
        assert all(value.value is None for value in estimate_window("binary", window, known, [], SETTINGS))


def test_constant_answers_rank_nothing() -> None:
    window = _answered([[0.7, 0.3]] * 500)
    found = _by_metric(estimate_window("binary", window, [_known(_binary(500, 1.0))], [], SETTINGS))
    assert found["roc_auc"].value == pytest.approx(0.5)
    assert found["recall"].value == 0.0


def test_answers_that_are_certain_are_estimated_without_a_warning() -> None:
    window = _answered([[1.0, 0.0], [0.0, 1.0]] * 200)
    known = Known(np.array([0, 1] * 200), np.array([[1.0, 0.0], [0.0, 1.0]] * 200))
    for sources in ([], [known]):
        found = _by_metric(estimate_window("binary", window, sources, [], SETTINGS))
        assert found["accuracy"].value == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    "useless",
    [
        Known(np.empty(0, int), np.empty((0, 2))),
        Known(np.array([0, 1]), np.array([[0.1, 0.9], [0.9, 0.1]])),
        Known(np.ones(500, int), np.full((500, 2), 0.5)),
    ],
    ids=["empty", "2 rows", "one class only"],
)
def test_a_source_that_teaches_nothing_is_left_out(useless: Known) -> None:
    window = _binary(400, 1.0)
    known = _known(_binary(500, 1.0, seed=1))
    assert estimate_window("binary", window, [useless, known], [], SETTINGS) == estimate_window(
        "binary", window, [known], [], SETTINGS
    )
    assert estimate_window("binary", window, [useless], [], SETTINGS) == estimate_window(
        "binary", window, [], [], SETTINGS
    )


def test_a_class_that_only_the_truth_has_is_left_out_of_what_is_learnt() -> None:
    known = _many(1000, 1.0)
    assert known.truth is not None
    window = _many(300, 1.0, seed=1)
    with_new = Known(np.append(known.truth, 3), np.pad(np.vstack([known.predicted, [[1, 0, 0]]]), ((0, 0), (0, 1))))
    assert estimate_window("multiclass", window, [with_new], [], SETTINGS) == estimate_window(
        "multiclass", window, [_known(known)], [], SETTINGS
    )


def test_classes_are_told_by_their_names_whatever_their_order() -> None:
    window, source = _many(300, 1.0), _many(1000, 1.0, seed=1)
    assert source.truth is not None
    named = Answered(window.predicted, None, ("a", "b", "d"), 300, 0, 0)
    known = Known(source.truth, source.predicted, classes=("a", "b", "d"))
    probabilities = np.column_stack([source.predicted[:, [0, 1]], np.zeros(1000), source.predicted[:, 2]])
    with_c = Known(np.array([0, 1, 3])[source.truth], probabilities, classes=("a", "b", "c", "d"))
    turned = Known(2 - source.truth, source.predicted[:, ::-1], classes=("d", "b", "a"))
    expected = estimate_window("multiclass", named, [known], [], SETTINGS)
    for other in (with_c, turned):
        assert estimate_window("multiclass", named, [other], [], SETTINGS) == expected


def test_a_source_without_one_of_the_classes_gives_it_no_probability() -> None:
    known = Known(np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.2, 0.8], [0.3, 0.7]]), classes=("b", "c"))
    found = known.aligned(("a", "c"), 2)
    assert found.truth.tolist() == [1, 1]
    assert found.predicted.tolist() == [[0.0, 0.8], [0.0, 0.7]]


def test_the_same_rows_give_the_same_estimate_and_the_truth_is_not_looked_at() -> None:
    window, known = _binary(600, 1.0), [_known(_binary(500, 1.0, seed=1))]
    blind = Answered(window.predicted, None, (), 600, 0, 0)
    assert estimate_window("binary", window, known, [], SETTINGS) == estimate_window(
        "binary", blind, known, [], SETTINGS
    )


def test_of_very_many_rows_a_sample_is_drawn_and_its_chance_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    window, known = _binary(10_000, 1.0), [_known(_binary(20_000, 1.0, seed=1))]
    whole = _by_metric(estimate_window("binary", window, known, [], SETTINGS))["roc_auc"]
    monkeypatch.setattr(estimates, "MOST_DRAWN_NUMBERS", 2000)
    cut = _by_metric(estimate_window("binary", window, known, [], SETTINGS))["roc_auc"]
    assert cut.value == whole.value
    assert cut.high - cut.low == pytest.approx(whole.high - whole.low, rel=0.35)
    assert cut.low < cut.value < cut.high
