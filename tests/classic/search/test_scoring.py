from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

from pipelines.classic.search.scoring import fold_slices, loss_of, mean_loss, metric_value

RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 2, 200)
SHARES = np.column_stack([1 - (shares := RANDOM.random(200)), shares])


def test_a_metric_that_grows_with_quality_becomes_a_loss_and_back() -> None:
    loss = loss_of("binary", "roc_auc", TRUTH, SHARES)
    assert loss == pytest.approx(1 - roc_auc_score(TRUTH, SHARES[:, 1]))
    assert metric_value("roc_auc", loss) == pytest.approx(roc_auc_score(TRUTH, SHARES[:, 1]))
    assert metric_value("log_loss", 0.3) == 0.3


def test_the_loss_of_folds_is_their_mean_by_rows_and_unjudged_rows_do_not_count() -> None:
    fold_of = np.where(np.arange(200) < 50, -1, np.arange(200) % 3)
    expected = log_loss(TRUTH[50:], SHARES[50:])
    assert mean_loss("binary", "log_loss", TRUTH, SHARES, fold_of) == pytest.approx(expected)


def test_folds_are_measured_one_by_one() -> None:
    truth, predicted, fold_of = np.array([0.0, 0, 1, 1]), np.array([1.0, 1, 4, 4]), np.array([0, 0, 1, 1])
    assert mean_loss("regression", "rmse", truth, predicted, fold_of) == pytest.approx(2.0)
    assert root_mean_squared_error(truth, predicted) > 2.0  # all at once, it would be another number


def test_a_fold_with_one_class_does_not_count_and_only_such_folds_are_infinitely_bad() -> None:
    truth, fold_of = np.array([0, 1, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1, 1])
    assert np.isfinite(mean_loss("binary", "roc_auc", truth, SHARES[:6], fold_of))
    assert mean_loss("binary", "roc_auc", np.ones(6, dtype=int), SHARES[:6], fold_of) == float("inf")


def test_slices_stand_where_the_folds_do() -> None:
    assert fold_slices(np.array([0, 0, 2, 2, 2])) == [slice(0, 2), slice(2, 5)]
