"""Figures with intervals, alone and paired, on all rows and on slices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipelines.classic.evaluation.measuring import measure_all
from pipelines.gates.bootstrap import resampling_weights
from pipelines.gates.samples import Figures
from pipelines.spec.training import METRICS_BY_TASK

SAMPLES = 100


def _binary(num_rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, num_rows)
    shared = 0.5 * generator.random(num_rows) + 0.2 * truth
    strong, weak = shared + 0.25 * truth + 0.02, shared + 0.2 * generator.random(num_rows)
    return truth, np.column_stack([1 - strong, strong]), np.column_stack([1 - weak, weak])


def _all(num_rows: int = 400) -> dict[str, np.ndarray]:
    return {"all": np.arange(num_rows)}


def _of(figures: tuple, metric: str, name: str = "all"):
    (found,) = [figure for figure in figures if (figure.metric, figure.slice) == (metric, name)]
    return found


def _measured(slices: dict[str, np.ndarray] | None = None, champion: bool = True) -> Figures:
    truth, strong, weak = _binary()
    return measure_all("binary", truth, strong, weak if champion else None, slices or _all(), SAMPLES, seed=7)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_metric_of_the_task_is_measured_on_every_slice(task: str) -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=60) if task == "regression" else np.arange(60) % {"binary": 2, "multiclass": 3}[task]
    predicted = truth + 1.0 if task == "regression" else np.full((60, truth.max() + 1), 1 / (truth.max() + 1))
    slices = {**_all(60), "a=1": np.arange(30), "a=2": np.arange(30, 60)}
    figures = measure_all(task, truth, predicted, predicted, slices, SAMPLES, 1)
    expected = {(metric, name) for metric in METRICS_BY_TASK[task] for name in slices}
    for group in (figures.metrics, figures.champion_metrics, figures.differences):
        assert len(group) == len(expected)
        assert {(figure.metric, figure.slice) for figure in group} == expected
        assert all(figure.num_rows == len(slices[figure.slice]) for figure in group)


def test_an_interval_is_that_of_scikit_learn_on_the_same_resamples() -> None:
    truth, strong, weak = _binary()
    weights = np.vstack(list(resampling_weights(400, SAMPLES, seed=7)))
    ours = np.array([roc_auc_score(truth, strong[:, 1], sample_weight=row) for row in weights])
    theirs = np.array([roc_auc_score(truth, weak[:, 1], sample_weight=row) for row in weights])
    figures = _measured()

    alone, paired = _of(figures.metrics, "roc_auc"), _of(figures.differences, "roc_auc")
    assert alone.value == pytest.approx(roc_auc_score(truth, strong[:, 1]))
    assert [alone.low, alone.high] == pytest.approx(np.quantile(ours, [0.025, 0.975]))
    assert paired.value == pytest.approx(roc_auc_score(truth, strong[:, 1]) - roc_auc_score(truth, weak[:, 1]))
    assert [paired.low, paired.high] == pytest.approx(np.quantile(ours - theirs, [0.025, 0.975]))


def test_a_difference_is_challenger_minus_champion_in_the_metrics_own_unit() -> None:
    figures = _measured()
    for metric in METRICS_BY_TASK["binary"]:
        ours, theirs = _of(figures.metrics, metric).value, _of(figures.champion_metrics, metric).value
        assert _of(figures.differences, metric).value == pytest.approx(ours - theirs)
    assert _of(figures.differences, "roc_auc").value > 0 > _of(figures.differences, "log_loss").value


def test_pairing_makes_the_interval_narrower_than_two_samples_would() -> None:
    figures = _measured()
    paired = _of(figures.differences, "log_loss")
    ours, theirs = _of(figures.metrics, "log_loss"), _of(figures.champion_metrics, "log_loss")
    unpaired = np.hypot(ours.high - ours.low, theirs.high - theirs.low)
    assert paired.high - paired.low < 0.7 * unpaired


def test_a_model_differs_from_itself_by_exactly_nothing() -> None:
    truth, strong, _ = _binary()
    figures = measure_all("binary", truth, strong, strong.copy(), _all(), SAMPLES, seed=7)
    assert {(d.value, d.low, d.high) for d in figures.differences} == {(0.0, 0.0, 0.0)}


def test_without_a_champion_there_is_nothing_to_compare() -> None:
    figures = _measured(champion=False)
    assert figures.metrics
    assert figures.champion_metrics == ()
    assert figures.differences == ()


def test_the_same_rows_give_the_same_figures_and_another_seed_other_intervals() -> None:
    truth, strong, weak = _binary()
    assert _measured() == _measured()
    other = measure_all("binary", truth, strong, weak, _all(), SAMPLES, seed=8)
    assert _of(other.metrics, "brier").value == _of(_measured().metrics, "brier").value
    assert _of(other.metrics, "brier").low != _of(_measured().metrics, "brier").low


def test_a_slice_is_measured_on_its_own_rows() -> None:
    truth, strong, _ = _binary()
    rows = np.arange(0, 400, 3)
    figure = _of(_measured({**_all(), "a=1": rows}).metrics, "roc_auc", "a=1")
    assert figure.value == pytest.approx(roc_auc_score(truth[rows], strong[rows, 1]))
    assert figure.low < figure.value < figure.high


def test_a_slice_of_one_class_is_unmeasured_and_the_others_are_not() -> None:
    truth, _, _ = _binary()
    figures = _measured({**_all(), "a=1": np.flatnonzero(truth == 1), "a=2": np.arange(0)})
    for name in ("a=1", "a=2"):
        figure = _of(figures.differences, "brier", name)
        assert (figure.value, figure.low, figure.high) == (None, None, None)
    assert _of(figures.metrics, "brier").value is not None


def test_a_broken_champion_leaves_the_challengers_own_figures_and_no_difference() -> None:
    truth, strong, weak = _binary()
    weak[3, 1] = np.nan
    figures = measure_all("binary", truth, strong, weak, _all(), SAMPLES, seed=7)
    assert _of(figures.metrics, "roc_auc").value is not None
    assert _of(figures.champion_metrics, "roc_auc").value is None
    assert _of(figures.differences, "roc_auc").low is None


def test_a_slice_with_hardly_a_positive_has_a_value_and_no_interval() -> None:
    truth, _, _ = _binary()
    rows = np.append(np.flatnonzero(truth == 0)[:50], np.flatnonzero(truth == 1)[0])
    figure = _of(_measured({**_all(), "a=1": rows}).metrics, "roc_auc", "a=1")
    assert figure.value is not None
    assert (figure.low, figure.high) == (None, None)
