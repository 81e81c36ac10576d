"""The champion on labelled rows, with intervals, against what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

import pipelines.monitoring.measured as measured
from pipelines.monitoring.answers import Answered
from pipelines.monitoring.measured import Sums, measure_means, measure_window
from pipelines.records import MetricValue, PerformanceValue
from pipelines.spec.training import METRICS_BY_TASK
from pipelines.spec.watching import Performance

SETTINGS = Performance(may_drop_by=0.02, minimum_rows=100)
SAMPLES = 200


def _answered(predicted: Any, truth: Any) -> Answered:
    predicted, truth = np.asarray(predicted, float), np.asarray(truth)
    return Answered(predicted, truth, (), len(truth), 0, 0)


def _binary(num_rows: int, skill: float = 1.0, seed: int = 0) -> Answered:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, num_rows)
    positive = 1 / (1 + np.exp(-(skill * (truth - 0.5) + generator.normal(size=num_rows))))
    return _answered(np.column_stack([1 - positive, positive]), truth)


def _reference(metric: str, value: float, half: float = 0.01) -> MetricValue:
    return MetricValue(metric=metric, slice="all", value=value, low=value - half, high=value + half, num_rows=5000)


def _by_metric(values: tuple[PerformanceValue, ...]) -> dict[str, PerformanceValue]:
    return {value.metric: value for value in values}


def test_every_metric_of_the_task_is_measured_as_scikit_learn_does() -> None:
    rows = _binary(400)
    found = _by_metric(measure_window("binary", rows, [], SETTINGS, SAMPLES))
    assert tuple(found) == METRICS_BY_TASK["binary"]
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(rows.truth, rows.predicted[:, 1]))
    assert found["brier"].value == pytest.approx(brier_score_loss(rows.truth, rows.predicted[:, 1]))
    for value in found.values():
        assert (value.source, value.num_rows, value.reference, value.dropped) == ("measured", 400, None, False)
        assert value.low < value.value < value.high


def test_a_fall_below_the_holdouts_value_is_a_drop() -> None:
    rows = _binary(2000)
    references = [_reference("roc_auc", 0.95), _reference("brier", 0.19)]
    found = _by_metric(measure_window("binary", rows, references, SETTINGS, SAMPLES))
    assert found["roc_auc"].reference == 0.95
    assert found["roc_auc"].dropped
    assert not found["accuracy"].dropped
    assert found["accuracy"].reference is None


def test_fewer_rows_than_the_spec_asks_for_are_shown_and_never_dropped() -> None:
    found = _by_metric(measure_window("binary", _binary(99), [_reference("roc_auc", 0.99)], SETTINGS, SAMPLES))
    assert found["roc_auc"].value is not None
    assert not found["roc_auc"].dropped


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("binary", _answered(np.empty((0, 2)), np.empty(0, int))),
        ("binary", _answered([[0.2, 0.8]], [1])),
        ("binary", _answered([[0.2, 0.8]] * 200, [1] * 200)),
        ("multiclass", _answered(np.empty((0, 3)), np.empty(0, int))),
        ("regression", _answered(np.empty(0), np.empty(0))),
        ("regression", _answered([1.0], [2.0])),
    ],
    ids=["binary, no row", "1 row", "one class only", "multiclass, no row", "regression, no row", "regression, 1 row"],
)
def test_what_cannot_be_measured_is_none_and_no_drop(task: Any, rows: Answered) -> None:
    references = [_reference(metric, 0.9) for metric in METRICS_BY_TASK[task]]
    for value in measure_window(task, rows, references, SETTINGS, SAMPLES):
        assert (value.value, value.low, value.high, value.dropped) == (None, None, None, False)
        assert value.num_rows == len(rows.truth)


def test_constant_predictions_are_measured_as_what_they_are() -> None:
    rows = _answered([[0.7, 0.3]] * 400, [0, 0, 1, 0] * 100)
    found = _by_metric(measure_window("binary", rows, [_reference("roc_auc", 0.7)], SETTINGS, SAMPLES))
    assert found["roc_auc"].value == found["roc_auc"].low == found["roc_auc"].high == 0.5
    assert found["roc_auc"].dropped


def test_regression_and_many_classes_are_measured_too() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=500)
    found = _by_metric(
        measure_window("regression", _answered(truth + 1, truth), [_reference("rmse", 0.5)], SETTINGS, SAMPLES)
    )
    assert found["rmse"].value == pytest.approx(1.0)
    assert found["rmse"].dropped
    predicted = generator.dirichlet([1, 1, 1], 500)
    many = measure_window("multiclass", _answered(predicted, np.arange(500) % 3), [], SETTINGS, SAMPLES)
    assert all(value.low <= value.value <= value.high for value in many)


def test_the_same_rows_give_the_same_figures() -> None:
    rows = _binary(300)
    assert measure_window("binary", rows, [], SETTINGS, SAMPLES) == measure_window(
        "binary", rows, [], SETTINGS, SAMPLES
    )


def test_of_very_many_rows_a_sample_is_resampled_and_its_interval_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _binary(8000)
    whole = _by_metric(measure_window("binary", rows, [], SETTINGS, SAMPLES))
    monkeypatch.setattr(measured, "MOST_RESAMPLED_ROWS", 2000)
    cut = _by_metric(measure_window("binary", rows, [], SETTINGS, SAMPLES))
    for metric, value in cut.items():
        assert value.value == whole[metric].value
        assert value.low < value.value < value.high
        assert value.high - value.low == pytest.approx(whole[metric].high - whole[metric].low, rel=0.35)


def _sums(over: Any, under: Any = None, clusters: Any = None, is_exponential: bool = False) -> Sums:
    over = np.asarray(over, float)
    under = np.ones(len(over)) if under is None else np.asarray(under, float)
    return Sums(over, under, np.arange(len(over)) if clusters is None else np.asarray(clusters), is_exponential)


def test_a_language_models_scores_are_means_with_intervals() -> None:
    scores = {
        "exact_match": _sums([1.0, 0.0] * 500),
        "token_f1": _sums([0.5] * 400 + [9.0] * 600, [1.0] * 400 + [0.0] * 600),
    }
    references = [_reference("exact_match", 0.8)]
    found = _by_metric(measure_means(scores, references, SETTINGS, SAMPLES))
    assert (found["exact_match"].value, found["exact_match"].num_rows) == (0.5, 1000)
    assert found["exact_match"].low == pytest.approx(0.5 - 1.96 * 0.5 / 1000**0.5, abs=0.01)
    assert found["exact_match"].dropped
    assert (found["token_f1"].value, found["token_f1"].num_rows) == (0.5, 400)
    assert found["token_f1"].low == found["token_f1"].high == 0.5


def test_a_loss_is_by_token_and_perplexity_follows_from_it() -> None:
    nats, tokens = np.array([2.0, 30.0] * 200), np.array([1.0, 10.0] * 200)
    scores = {"answer_loss": _sums(nats, tokens), "perplexity": _sums(nats, tokens, is_exponential=True)}
    found = _by_metric(measure_means(scores, [_reference("answer_loss", 2.5)], SETTINGS, SAMPLES))
    loss, perplexity = found["answer_loss"], found["perplexity"]
    assert loss.value == pytest.approx(32 / 11)
    assert loss.dropped  # a loss has dropped where it has risen
    for side in ("value", "low", "high"):
        assert getattr(perplexity, side) == pytest.approx(np.exp(getattr(loss, side)), rel=1e-3)


def test_a_question_that_is_asked_again_tells_nothing_new() -> None:
    single = np.random.default_rng(0).integers(0, 2, 200).astype(float)
    once = measure_means({"exact_match": _sums(single)}, [], SETTINGS, SAMPLES)[0]
    again = measure_means(
        {"exact_match": _sums(np.repeat(single, 9), clusters=np.repeat(np.arange(200), 9))}, [], SETTINGS, SAMPLES
    )[0]
    assert (again.value, again.low, again.high) == (once.value, once.low, once.high)
    assert (once.num_rows, again.num_rows) == (200, 1800)


def test_the_answers_to_four_questions_have_no_interval_and_never_dropped() -> None:
    scores = {"exact_match": _sums(np.zeros(400), clusters=np.arange(400) % 4)}
    (value,) = measure_means(scores, [_reference("exact_match", 0.9)], SETTINGS, SAMPLES)
    assert (value.value, value.low, value.high, value.dropped) == (0.0, None, None, False)


@pytest.mark.parametrize(
    ("sums", "num_rows"),
    [(_sums([]), 0), (_sums([1.0] * 3, [0.0] * 3), 0), (_sums([np.nan] * 300), 300)],
    ids=["no row", "no score", "a model that is lost"],
)
def test_a_score_of_nothing_is_none(sums: Sums, num_rows: int) -> None:
    (value,) = measure_means({"exact_match": sums}, [_reference("exact_match", 0.9)], SETTINGS, SAMPLES)
    assert (value.value, value.low, value.num_rows, value.dropped) == (None, None, num_rows, False)
