"""Every metric against scikit-learn, with and without weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from pipelines.classic.evaluation.metrics import (
    METRICS,
    align_classes,
    encode_truth,
    measure,
    metrics_of,
    union_of_classes,
)
from pipelines.errors import DataError
from pipelines.spec.training import METRICS_BY_TASK

LABELS = {"binary": [0, 1], "multiclass": [0, 1, 2, 3]}


def _of_labels(function: Callable[..., float], **arguments: Any) -> Callable[..., float]:
    return lambda truth, p, w: function(truth, p.argmax(axis=1), sample_weight=w, **arguments)


# metric, task, the same from scikit-learn: (truth, predicted, weights) -> float
PEERS: list[tuple[str, str, Callable[..., float]]] = [
    ("roc_auc", "binary", lambda y, p, w: sk.roc_auc_score(y, p[:, 1], sample_weight=w)),
    ("average_precision", "binary", lambda y, p, w: sk.average_precision_score(y, p[:, 1], sample_weight=w)),
    ("log_loss", "binary", lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1])),
    ("brier", "binary", lambda y, p, w: sk.brier_score_loss(y, p[:, 1], sample_weight=w)),
    ("accuracy", "binary", _of_labels(sk.accuracy_score)),
    ("f1", "binary", _of_labels(sk.f1_score, zero_division=0)),
    ("precision", "binary", _of_labels(sk.precision_score, zero_division=0)),
    ("recall", "binary", _of_labels(sk.recall_score)),
    ("log_loss", "multiclass", lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1, 2, 3])),
    ("accuracy", "multiclass", _of_labels(sk.accuracy_score)),
    ("balanced_accuracy", "multiclass", _of_labels(sk.balanced_accuracy_score)),
    ("f1_macro", "multiclass", _of_labels(sk.f1_score, average="macro", zero_division=0)),
    (
        "roc_auc_ovr",
        "multiclass",
        lambda y, p, w: np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in LABELS["multiclass"]]),
    ),
    ("rmse", "regression", lambda y, p, w: sk.root_mean_squared_error(y, p, sample_weight=w)),
    ("mae", "regression", lambda y, p, w: sk.mean_absolute_error(y, p, sample_weight=w)),
    ("r2", "regression", lambda y, p, w: sk.r2_score(y, p, sample_weight=w)),
    (
        "median_absolute_error",
        "regression",
        lambda y, p, w: sk.median_absolute_error(np.repeat(y, w.astype(int)), np.repeat(p, w.astype(int))),
    ),
]


def _sample(task: str, seed: int, num_rows: int = 300, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    if task == "regression":
        truth = generator.normal(50, 10, num_rows)
        return truth, np.round(truth + generator.normal(0, 5, num_rows), 0 if ties else 12)
    truth = generator.integers(0, len(LABELS[task]), num_rows)
    raw = generator.random((num_rows, len(LABELS[task]))) + 0.3 * np.eye(len(LABELS[task]))[truth]
    raw = np.round(raw, 1) + 0.01 if ties else raw
    return truth, raw / raw.sum(axis=1, keepdims=True)


def test_every_metric_of_every_task_has_a_row_in_the_table() -> None:
    assert {(name, task) for name, task, _ in PEERS} == {(n, t) for t, names in METRICS_BY_TASK.items() for n in names}
    assert set(METRICS) == {name for names in METRICS_BY_TASK.values() for name in names}
    assert [metric.name for metric in metrics_of("binary")] == list(METRICS_BY_TASK["binary"])
    assert METRICS["log_loss"].tasks == ("binary", "multiclass")


@pytest.mark.parametrize(("name", "task", "peer"), PEERS, ids=[f"{name}-{task}" for name, task, _ in PEERS])
@pytest.mark.parametrize("ties", [True, False])
def test_a_metric_agrees_with_scikit_learn_for_the_sample_and_for_resamples(name, task, peer, ties) -> None:
    truth, predicted = _sample(task, seed=1, ties=ties)
    drawn = np.random.default_rng(2).multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=5).astype(float)
    weights = np.vstack([np.ones(len(truth)), drawn])

    values = measure(task, METRICS[name], truth, predicted, weights)

    assert values == pytest.approx([peer(truth, predicted, row) for row in weights], abs=1e-10)
    assert measure(task, METRICS[name], truth, predicted)[0] == pytest.approx(values[0], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), num_rows=st.integers(2, 30))
def test_ranking_metrics_agree_with_scikit_learn_on_tiny_tied_samples(seed: int, num_rows: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, num_rows)
    score = generator.integers(0, 4, num_rows) / 4
    predicted = np.column_stack([1 - score, score])
    weights = generator.integers(0, 3, (1, num_rows)).astype(float)
    seen = truth[weights[0] > 0]
    for name, peer in (("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)):
        value = measure("binary", METRICS[name], truth, predicted, weights)[0]
        if len(set(truth)) < 2 or (name == "roc_auc" and len(set(seen)) < 2) or not (seen == 1).any():
            assert np.isnan(value)
        else:
            assert value == pytest.approx(peer(truth, score, sample_weight=weights[0]))


@pytest.mark.parametrize(("name", "task", "peer"), PEERS, ids=[f"{name}-{task}" for name, task, _ in PEERS])
def test_better_predictions_move_each_metric_in_its_direction(name, task, peer) -> None:
    truth, predicted = _sample(task, seed=3, ties=False)
    perfect = truth if task == "regression" else 0.02 / 4 + 0.98 * np.eye(predicted.shape[1])[truth]
    if task != "regression":
        perfect /= perfect.sum(axis=1, keepdims=True)
    gain = measure(task, METRICS[name], truth, perfect)[0] - measure(task, METRICS[name], truth, predicted)[0]
    assert gain < 0 if METRICS[name].lower_is_better else gain > 0


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_one_unusable_prediction_makes_every_metric_unmeasured(task: str, poison: float) -> None:
    truth, predicted = _sample(task, seed=4)
    predicted = predicted.copy()
    predicted.flat[7] = poison
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(np.isnan(measure(task, metric, truth, predicted)).all() for metric in metrics_of(task))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_one_class_only_makes_every_metric_unmeasured(task: str) -> None:
    truth, predicted = _sample(task, seed=4)
    assert all(np.isnan(measure(task, metric, np.ones_like(truth), predicted)).all() for metric in metrics_of(task))


def test_scores_that_are_no_probabilities_are_unmeasured() -> None:
    truth, predicted = _sample("binary", seed=4)
    assert np.isnan(measure("binary", METRICS["brier"], truth, 2 * predicted)).all()
    shifted = np.add(predicted, [0.5, -0.5])
    assert shifted.min() < 0
    assert np.isnan(measure("binary", METRICS["roc_auc"], truth, shifted)).all()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("num_rows", [0, 1])
def test_too_few_rows_are_unmeasured(task: str, num_rows: int) -> None:
    truth, predicted = _sample(task, seed=5)
    assert all(np.isnan(measure(task, m, truth[:num_rows], predicted[:num_rows])).all() for m in metrics_of(task))


def test_a_constant_target_has_no_r2() -> None:
    assert np.isnan(measure("regression", METRICS["r2"], np.full(9, 0.1), np.arange(9.0)))[0]


def test_a_silent_model_has_precision_0_and_not_none_so_that_any_challenger_can_beat_it() -> None:
    truth = np.array([0, 1, 1])
    silent = np.tile([0.9, 0.1], (3, 1))
    assert measure("binary", METRICS["precision"], truth, silent)[0] == 0.0


def test_a_class_that_a_model_never_saw_gets_probability_0_from_it() -> None:
    classes = union_of_classes("multiclass", ["a", "c"], ["b"], ["a"])
    assert classes == ["a", "b", "c"]
    assert align_classes(np.array([[0.25, 0.75]]), ["a", "c"], classes).tolist() == [[0.25, 0.0, 0.75]]
    assert encode_truth("multiclass", np.array(["c", "a", "b"]), classes).tolist() == [2, 0, 1]


def test_a_binary_task_with_a_third_class_is_refused_and_names_it() -> None:
    with pytest.raises(DataError, match=r"has 3 classes.*\[0, 1, 2\]; allowed: 2"):
        union_of_classes("binary", [0, 1], [0, 1, 2])


def test_classes_of_mixed_types_are_refused() -> None:
    with pytest.raises(DataError, match="different types"):
        union_of_classes("multiclass", [0, 1], ["yes"])


def test_regression_has_no_classes_and_takes_numbers_as_they_are() -> None:
    assert union_of_classes("regression", [1.0, 2.0]) == []
    assert encode_truth("regression", np.array([1, 2]), []).dtype == float
